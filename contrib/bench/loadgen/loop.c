/*
 * loop.c - non-blocking sockets, their buffers, and the epoll loop.
 */
#define _GNU_SOURCE
#include "loadgen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    INPUT_SIZE = 1 << 20,
    EVENTS = 1024,
    PORTS = 20000, /* clients per source address; Linux has 28,000 ports for each by default */
    FAILURES_SHOWN = 5,
};

static int epoll;
static bool line_read, input_ended;
static char input[INPUT_SIZE];

void loop_start(void)
{
    epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (options.step_count) epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &event);
}

static void watch_client(struct client *client, int operation)
{
    uint32_t events = client->wants_write ? EPOLLIN | EPOLLOUT : EPOLLIN;
    struct epoll_event event = {.events = events, .data.ptr = client};
    if (epoll_ctl(epoll, operation, client->fd, &event)) die("epoll_ctl: %s", strerror(errno));
}

static void want_write(struct client *client, bool wanted)
{
    if (client->wants_write == wanted) return;
    client->wants_write = wanted;
    watch_client(client, EPOLL_CTL_MOD);
}

static void bind_source(struct client *client)
{
    static unsigned sockets;
    int one = 1;
    struct sockaddr_in source = {.sin_family = AF_INET};
    source.sin_addr.s_addr = htonl(INADDR_LOOPBACK + sockets++ / PORTS);
    setsockopt(client->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    if (bind(client->fd, (struct sockaddr *)&source, sizeof source))
        die("bind: %s", strerror(errno));
}

void client_connect(struct client *client)
{
    int one = 1;
    struct sockaddr_in target = {.sin_family = AF_INET, .sin_port = htons((uint16_t)client->port)};
    target.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (client->fd < 0) die("socket: %s", strerror(errno));
    bind_source(client);
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(client->fd, (struct sockaddr *)&target, sizeof target) && errno != EINPROGRESS)
        die("connect: %s", strerror(errno));
    client->state = CONNECTING;
    client->wants_write = true;
    watch_client(client, EPOLL_CTL_ADD);
}

static void append(struct buffer *buffer, const char *bytes, size_t count)
{
    if (buffer->end + count > buffer->capacity) {
        buffer->capacity = (buffer->end + count) * 2;
        buffer->data = realloc(buffer->data, buffer->capacity);
        if (!buffer->data) die("out of memory");
    }
    memcpy(buffer->data + buffer->end, bytes, count);
    buffer->end += count;
}

void client_write(struct client *client, const char *bytes, size_t count)
{
    append(&client->out, bytes, count);
}

void client_flush(struct client *client)
{
    struct buffer *out = &client->out;
    while (out->start < out->end) {
        ssize_t sent = send(client->fd, out->data + out->start, out->end - out->start,
                            MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) {
            want_write(client, true);
            return;
        }
        if (sent < 0) {
            client_fail(client, strerror(errno));
            return;
        }
        out->start += (size_t)sent;
    }
    out->start = out->end = 0;
    want_write(client, false);
}

void client_fail(struct client *client, const char *reason)
{
    if (client->state == DEAD) return;
    if (counts.failed_clients++ < FAILURES_SHOWN)
        fprintf(stderr, "loadgen: %s %d failed in state %d: %s\n",
                client->publisher ? "publisher" : "subscriber", client->index, client->state,
                reason);
    if (client->state < READY) opening_clients--;
    client->state = DEAD;
    close(client->fd);
}

static void finish_connect(struct client *client)
{
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) {
        client_fail(client, strerror(error));
        return;
    }
    client->state = OPENING;
    client->transport->connected(client);
}

static void keep_rest(struct client *client, size_t used, size_t length)
{
    client->in.end = 0;
    if (client->state != DEAD && used < length)
        append(&client->in, input + used, length - used);
}

/* Reads once; what is left in the socket raises another event. */
static void read_client(struct client *client)
{
    size_t kept = client->in.end;
    memcpy(input, client->in.data ? client->in.data : "", kept);
    if (kept == INPUT_SIZE) {
        client_fail(client, "a message is too large");
        return;
    }
    ssize_t count = recv(client->fd, input + kept, INPUT_SIZE - kept, 0);
    if (count < 0 && errno == EAGAIN) return;
    if (count <= 0) {
        client_fail(client, count ? strerror(errno) : "closed by the server");
        return;
    }
    size_t length = kept + (size_t)count;
    keep_rest(client, client->transport->consume(client, input, length), length);
}

static void read_line(void)
{
    char text[64];
    ssize_t count = read(STDIN_FILENO, text, sizeof text);
    if (count > 0 && memchr(text, '\n', (size_t)count)) line_read = true;
    if (count > 0) return;
    input_ended = true;
    epoll_ctl(epoll, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
}

bool loop_line_read(void)
{
    bool was = line_read;
    line_read = false;
    return was || input_ended;
}

static void handle(struct client *client, uint32_t events)
{
    if (client->state == DEAD) return;
    if (client->state == CONNECTING) finish_connect(client);
    else if (events & EPOLLOUT) client_flush(client);
    if (client->state != DEAD && events & (EPOLLIN | EPOLLHUP | EPOLLERR)) read_client(client);
}

void loop_once(int milliseconds)
{
    static struct epoll_event events[EVENTS];
    int count = epoll_wait(epoll, events, EVENTS, milliseconds);
    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr) handle(events[i].data.ptr, events[i].events);
        else read_line();
    }
}

void loop_for(double seconds)
{
    uint64_t end = now() + (uint64_t)(seconds * 1e9);
    while (now() < end) loop_once(20);
}
