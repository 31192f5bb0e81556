/*
 * websocket.c - the client's side of RFC 6455: no extensions, whole text frames, pongs at once.
 */
#include "loadgen.h"

#include <string.h>

enum { TEXT = 1, CLOSE = 8, PING = 9, PONG = 10, MASKED = 128, FINAL = 128 };

static void connected(struct client *client)
{
    static const char request[] = " HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
                                  "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    client_write(client, "GET ", 4);
    client_write(client, options.path, strlen(options.path));
    client_write(client, request, sizeof request - 1);
    client_flush(client);
}

static void send_frame(struct client *client, int opcode, const char *payload, size_t length)
{
    static const unsigned char mask[4] = {0x5a, 0x21, 0x7c, 0x3e};
    unsigned char frame[MOST_DATA + 1024];
    size_t head = 2;
    if (length > sizeof frame - 8) die("a frame of %zu bytes is too large", length);
    frame[0] = (unsigned char)(FINAL | opcode);
    frame[1] = (unsigned char)(MASKED | (length < 126 ? length : 126));
    if (length >= 126) {
        frame[2] = (unsigned char)(length >> 8);
        frame[3] = (unsigned char)length;
        head = 4;
    }
    memcpy(frame + head, mask, sizeof mask);
    head += sizeof mask;
    for (size_t i = 0; i < length; i++)
        frame[head + i] = (unsigned char)payload[i] ^ mask[i & 3];
    client_write(client, (char *)frame, head + length);
    client_flush(client);
}

static void send_message(struct client *client, const char *text, size_t length)
{
    send_frame(client, TEXT, text, length);
}

static size_t consume_upgrade(struct client *client, char *bytes, size_t length)
{
    const char *end = find(bytes, length, "\r\n\r\n");
    if (!end) return 0;
    if (strncmp(bytes, "HTTP/1.1 101 ", 13)) {
        client_fail(client, "the upgrade was refused");
        return length;
    }
    client->state = JOINING;
    protocol->opened(client);
    return (size_t)(end + 4 - bytes);
}

static void handle_frame(struct client *client, int first, char *payload, size_t length)
{
    int opcode = first & 15;
    if (!(first & FINAL)) client_fail(client, "a frame is fragmented");
    else if (opcode == TEXT) protocol->text(client, payload, length);
    else if (opcode == PING) send_frame(client, PONG, payload, length);
    else if (opcode == CLOSE) client_fail(client, "the server has sent a close frame");
}

/* The length of the payload; *head becomes that of the header, or 0 if it is not complete. */
static size_t read_head(const unsigned char *frame, size_t available, size_t *head)
{
    size_t length = frame[1] & 127, extra = length == 126 ? 2 : length == 127 ? 8 : 0;
    *head = available >= 2 + extra ? 2 + extra : 0;
    if (!extra || !*head) return length;
    length = 0;
    for (size_t i = 0; i < extra; i++) length = length << 8 | frame[2 + i];
    return length;
}

static size_t consume(struct client *client, char *bytes, size_t length)
{
    size_t used = client->state == OPENING ? consume_upgrade(client, bytes, length) : 0;
    while (client->state > OPENING && client->state != DEAD && length - used >= 2) {
        size_t head, payload = read_head((unsigned char *)bytes + used, length - used, &head);
        if (!head || payload > length - used - head) break;
        char *frame = bytes + used;
        used += head + payload;
        handle_frame(client, (unsigned char)frame[0], frame + head, payload);
    }
    return used;
}

const struct transport websocket = {connected, consume, send_message};
