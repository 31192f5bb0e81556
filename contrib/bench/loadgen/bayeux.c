/*
 * bayeux.c - handshake, subscription, connects and acknowledgements.
 *
 * Every message has an id of its own, as those of Faye's client have: a server may take an id
 * that comes twice for a request that was repeated.
 */
#define _GNU_SOURCE
#include "loadgen.h"

#include <stdio.h>
#include <string.h>

enum { REFUSALS_SHOWN = 3 };

static void opened(struct client *client)
{
    send_text(client,
              "[{\"channel\":\"/meta/handshake\",\"version\":\"1.0\",\"id\":\"%u\","
              "\"supportedConnectionTypes\":[\"websocket\",\"long-polling\"]}]",
              ++client->last_id);
}

static void send_connect(struct client *client)
{
    const char *type = client->transport == &websocket ? "websocket" : "long-polling";
    send_text(client,
              "[{\"channel\":\"/meta/connect\",\"clientId\":\"%s\",\"connectionType\":\"%s\","
              "\"id\":\"%u\"}]", client->id, type, ++client->last_id);
}

static void send_subscribe(struct client *client)
{
    send_text(client,
              "[{\"channel\":\"/meta/subscribe\",\"clientId\":\"%s\",\"id\":\"%u\","
              "\"subscription\":\"/bench/%d/%s\"}]", client->id, ++client->last_id,
              client->channel, options.pattern ? "*" : "x");
}

static void handshaken(struct client *client, const char *text, size_t length)
{
    static const char field[] = "\"clientId\":\"";
    const char *id = find(text, length, field);
    if (!id) {
        client_fail(client, "the handshake was refused");
        return;
    }
    id += sizeof field - 1;
    size_t count = strcspn(id, "\"");
    snprintf(client->id, sizeof client->id, "%.*s", (int)count, id);
    if (client->transport == &websocket) send_connect(client);
    if (client->publisher) client_ready(client);
    else send_subscribe(client);
}

static void subscribed(struct client *client)
{
    client_ready(client);
    if (client->transport == &long_polling) send_connect(client);
}

/* Replies to what is not a publication. */
static void meta(struct client *client, const char *text, size_t length)
{
    if (find(text, length, "\"successful\":false")) {
        fprintf(stderr, "loadgen: %.*s\n", (int)length, text);
        client_fail(client, "the server has refused a message");
    } else if (!client->id[0]) handshaken(client, text, length);
    else {
        if (find(text, length, "\"/meta/subscribe\"")) subscribed(client);
        if (find(text, length, "\"/meta/connect\"")) send_connect(client);
    }
}

/* Replies that come in one frame count as refused if one is: it is an error either way. */
static void acknowledged(const char *text, size_t length)
{
    static const char field[] = "\"id\":\"p";
    bool refused = find(text, length, "\"successful\":false");
    if (refused && counts.refused < REFUSALS_SHOWN)
        fprintf(stderr, "loadgen: %.*s\n", (int)length, text);
    const char *at = text, *end = text + length;
    while ((at = find(at, (size_t)(end - at), field))) {
        at += sizeof field - 1;
        message_acknowledged(read_number(&at, end), !refused);
    }
}

static void text(struct client *client, char *text, size_t length)
{
    if (client->publisher) acknowledged(text, length);
    else ledger_scan(client, text, length);
    if (find(text, length, "\"/meta/")) meta(client, text, length);
}

static int publication(struct client *client, char *text, size_t size, int channel,
                       uint64_t number, const char *data)
{
    return snprintf(text, size,
                    "[{\"channel\":\"/bench/%d/x\",\"clientId\":\"%s\",\"id\":\"p%llu\","
                    "\"data\":%s}]", channel, client->id, (unsigned long long)number, data);
}

const struct protocol bayeux = {opened, text, publication};
