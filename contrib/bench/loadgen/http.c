/*
 * http.c - long-polling: one POST at a time on a connection that is kept alive.
 */
#define _GNU_SOURCE
#include "loadgen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void connected(struct client *client)
{
    client->state = JOINING;
    protocol->opened(client);
}

static void post(struct client *client, const char *text, size_t length)
{
    char head[512];
    int count = snprintf(head, sizeof head,
                         "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                         "Content-Length: %zu\r\n\r\n", options.path, length);
    client_write(client, head, (size_t)count);
    client_write(client, text, length);
    client_flush(client);
}

/* The length that the header fields announce, or -1. Ends the head with a zero byte. */
static long body_length(char *head, char *end)
{
    *end = 0;
    char *field = strcasestr(head, "\r\ncontent-length:");
    return field ? atol(field + strlen("\r\ncontent-length:")) : -1;
}

static size_t consume(struct client *client, char *bytes, size_t length)
{
    char *end = (char *)find(bytes, length, "\r\n\r\n");
    if (!end) return 0;
    char *body = end + 4;
    long wanted = body_length(bytes, end);
    if (wanted < 0 || strncmp(bytes, "HTTP/1.1 200 ", 13)) {
        client_fail(client, bytes);
        return length;
    }
    size_t whole = (size_t)(body - bytes) + (size_t)wanted;
    if (length < whole) {
        *end = '\r';
        return 0;
    }
    protocol->text(client, body, (size_t)wanted);
    return whole;
}

const struct transport long_polling = {connected, consume, post};
