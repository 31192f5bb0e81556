/*
 * socketio.c - Socket.IO on Engine.IO 4: text packets, each with an acknowledgement.
 *
 * The server has two events: "sub" with a room, and "pub" with a room and the data, which it
 * sends to the room as "msg".
 */
#include "loadgen.h"

#include <stdio.h>

enum { FIRST_ID = 10 }; /* of publications; below are those of other packets */

static void opened(struct client *client)
{
    (void)client; /* the server speaks first */
}

static void acknowledged(struct client *client, const char *text, size_t length)
{
    const char *at = text + 2;
    uint64_t id = read_number(&at, text + length);
    if (client->publisher && id >= FIRST_ID) message_acknowledged(id - FIRST_ID, true);
    else if (client->state == JOINING) client_ready(client);
}

static void joined(struct client *client)
{
    if (client->publisher) client_ready(client);
    else send_text(client, "420[\"sub\",\"/bench/%d/x\"]", client->channel);
}

static void text(struct client *client, char *text, size_t length)
{
    char first = length ? text[0] : 0, second = length > 1 ? text[1] : 0;
    if (first == '0') send_text(client, "40");
    else if (first == '2') send_text(client, "3");
    else if (first == '4' && second == '0') joined(client);
    else if (first == '4' && second == '3') acknowledged(client, text, length);
    else if (first == '4' && second == '2') ledger_scan(client, text, length);
}

static int publication(struct client *client, char *text, size_t size, int channel,
                       uint64_t number, const char *data)
{
    (void)client;
    return snprintf(text, size, "42%llu[\"pub\",\"/bench/%d/x\",%s]",
                    (unsigned long long)number + FIRST_ID, channel, data);
}

const struct protocol socketio = {opened, text, publication};
