/*
 * publish.c - messages from their publication to their last delivery.
 *
 * A message is outstanding until it has been acknowledged and all subscribers have received it.
 * A publisher keeps a fixed number of them outstanding, so that nothing piles up in the server,
 * or all publishers together keep a rate.
 */
#include "loadgen.h"

#include <stdio.h>
#include <string.h>

enum { RING = 1 << 16 };

struct message {
    uint64_t number, time;
    int missing, publisher;
    bool acknowledged, open;
};

static struct message ring[RING];
static uint64_t next_number, oldest;
static uint32_t *next_sequence; /* by publisher and channel */
static int *outstanding;        /* by publisher */

void publish_start(void)
{
    next_sequence = allocate((size_t)options.publishers * (size_t)options.channels,
                             sizeof *next_sequence);
    outstanding = allocate((size_t)options.publishers, sizeof *outstanding);
}

static int random_channel(void)
{
    static uint64_t state = 88172645463325252u; /* xorshift: the same channels in every run */
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (int)(state % (uint64_t)options.channels);
}

static void write_data(char *data, const struct message *message, uint32_t sequence)
{
    static const char filler[] = "the quick brown fox jumps over the lazy dog, and ";
    int at = snprintf(data, MOST_DATA, "{\"user\":\"alice\",\"n\":12345,\"ok\":true,"
                      "\"stamp\":\"@%d.%u.%llu.%llu@\",\"text\":\"", message->publisher, sequence,
                      (unsigned long long)message->number, (unsigned long long)message->time);
    for (int i = 0; at < options.size - 2; i++) data[at++] = filler[i % (sizeof filler - 1)];
    memcpy(data + at, "\"}", 3);
}

static void publish(struct client *client)
{
    char data[MOST_DATA + 200], text[MOST_DATA + 600];
    int channel = random_channel();
    uint64_t number = next_number++;
    struct message *message = &ring[number % RING];
    if (message->open) die("too many messages are outstanding");
    *message = (struct message){.number = number, .time = now(), .missing = members[channel],
                                .publisher = client->index, .open = true};
    size_t cell = (size_t)client->index * (size_t)options.channels + (size_t)channel;
    write_data(data, message, next_sequence[cell]++);
    int length = protocol->publication(client, text, sizeof text, channel, number, data);
    outstanding[client->index]++;
    counts.published++;
    counts.expected += (uint64_t)members[channel];
    client->transport->send(client, text, (size_t)length);
}

static bool enough(void)
{
    return options.messages && counts.published >= (uint64_t)options.messages;
}

static void publish_closed_loop(void)
{
    for (int i = 0; i < options.publishers; i++)
        while (publishers[i].state == READY && outstanding[i] < options.outstanding && !enough())
            publish(&publishers[i]);
}

static void publish_at_rate(void)
{
    static uint64_t due;
    uint64_t time = now();
    if (!due) due = time;
    for (; due <= time && !enough(); due += (uint64_t)(1e9 / options.rate)) {
        struct client *client = &publishers[next_number % (uint64_t)options.publishers];
        if (client->state == READY) publish(client);
    }
}

void publish_due(void)
{
    if (options.rate > 0) publish_at_rate();
    else publish_closed_loop();
}

static void close_message(struct message *message)
{
    message->open = false;
    outstanding[message->publisher]--;
}

static void settle(struct message *message)
{
    if (!message->open || !message->acknowledged || message->missing > 0) return;
    counts.completed++;
    close_message(message);
}

bool message_known(uint64_t number)
{
    return number < next_number && number + RING >= next_number;
}

void message_acknowledged(uint64_t number, bool successful)
{
    if (!successful) counts.refused++;
    struct message *message = &ring[number % RING];
    if (!successful || !message_known(number) || message->acknowledged) return;
    message->acknowledged = true;
    counts.acknowledged++;
    settle(message);
}

void message_received(uint64_t number)
{
    ring[number % RING].missing--;
    settle(&ring[number % RING]);
}

void publish_forget_late(void)
{
    uint64_t limit = now() - (uint64_t)(options.patience * 1e9);
    for (; oldest < next_number; oldest++) {
        struct message *message = &ring[oldest % RING];
        if (!message->open || message->number != oldest) continue;
        if (message->time > limit) return;
        counts.given_up++;
        close_message(message);
    }
}

bool publish_settled(void)
{
    publish_forget_late();
    for (int i = 0; i < options.publishers; i++)
        if (outstanding[i]) return false;
    return true;
}
