/*
 * clients.c - all publishers and subscribers, opened a few at a time.
 */
#include "loadgen.h"

enum { AT_ONCE = 64, MOST_FAILURES = 50 };

static const double STANDSTILL = 20; /* s without another client ready */

const struct protocol *protocol = &bayeux;
struct client *subscribers, *publishers;
int ready_subscribers, ready_publishers, opening_clients;

void clients_create(void)
{
    if (options.socketio) protocol = &socketio;
    subscribers = allocate((size_t)options.subscribers, sizeof *subscribers);
    publishers = allocate((size_t)options.publishers, sizeof *publishers);
    for (int i = 0; i < options.subscribers; i++)
        subscribers[i] = (struct client){
            .index = i, .channel = i % options.channels, .port = options.subscribe_port,
            .transport = options.long_polling ? &long_polling : &websocket};
    for (int i = 0; i < options.publishers; i++)
        publishers[i] = (struct client){.publisher = true, .index = i,
                                        .port = options.publish_port, .transport = &websocket};
}

void client_ready(struct client *client)
{
    if (client->state != JOINING) return;
    client->state = READY;
    opening_clients--;
    if (client->publisher) ready_publishers++;
    else {
        ready_subscribers++;
        members[client->channel]++;
    }
}

static void open_next(int up_to)
{
    static int started;
    while (opening_clients < AT_ONCE && started < options.publishers + up_to) {
        int subscriber = started++ - options.publishers;
        opening_clients++;
        client_connect(subscriber < 0 ? &publishers[-subscriber - 1] : &subscribers[subscriber]);
    }
}

void clients_open(int up_to)
{
    int ready = -1;
    uint64_t progress = now();
    while (ready_publishers < options.publishers || ready_subscribers < up_to) {
        open_next(up_to);
        loop_once(20);
        if (ready != ready_subscribers + ready_publishers) {
            ready = ready_subscribers + ready_publishers;
            progress = now();
        }
        if (counts.failed_clients > MOST_FAILURES) die("too many clients have failed");
        if (now() - progress > (uint64_t)(STANDSTILL * 1e9))
            die("%d of %d subscribers are ready, and no more come", ready_subscribers, up_to);
    }
}
