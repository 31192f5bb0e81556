/*
 * ledger.c - checks every delivery, and takes its latency.
 *
 * A publisher numbers its messages per channel, and a subscriber has one channel: what it gets
 * from one publisher must be 0, 1, 2 and so on. What is missing at the end is lost.
 */
#include "loadgen.h"

#include <string.h>

enum { REMEMBERED = 64, PARTS = 64, BUCKETS = 64 * PARTS };

struct cell {
    uint32_t next; /* one more than the highest sequence number received */
    uint64_t seen; /* bit i: next - 1 - i has arrived */
};

struct counts counts;
bool measuring;
int *members;

static struct cell *cells; /* by subscriber and publisher */
static size_t publisher_count;
static uint64_t histogram[BUCKETS], latencies;

void ledger_start(void)
{
    publisher_count = options.publishers ? (size_t)options.publishers : 1;
    members = allocate((size_t)options.channels, sizeof *members);
    cells = allocate((size_t)options.subscribers * publisher_count, sizeof *cells);
}

/* Whether it is the first copy. One too old to be remembered counts as late, never as a copy. */
static bool arrive(struct cell *cell, uint32_t sequence)
{
    if (sequence >= cell->next) {
        uint32_t ahead = sequence - cell->next + 1;
        cell->seen = (ahead < REMEMBERED ? cell->seen << ahead : 0) | 1;
        cell->next = sequence + 1;
        return true;
    }
    uint32_t age = cell->next - 1 - sequence;
    uint64_t bit = age < REMEMBERED ? (uint64_t)1 << age : 0;
    if (cell->seen & bit) {
        counts.duplicates++;
        return false;
    }
    cell->seen |= bit;
    counts.reordered++;
    return true;
}

/* 64 buckets for each power of two: an error of at most 1.6 per cent. */
static void add_latency(uint64_t ns)
{
    int power = ns < PARTS ? 0 : 63 - __builtin_clzll(ns) - 5;
    histogram[power ? power * PARTS + (int)(ns >> (power - 1) & (PARTS - 1)) : (int)ns]++;
    latencies++;
}

double latency_ms(double quantile)
{
    uint64_t wanted = (uint64_t)(quantile * (double)latencies), passed = 0;
    for (int i = 0; i < BUCKETS; i++) {
        passed += histogram[i];
        if (passed <= wanted && passed < latencies) continue;
        int power = i / PARTS;
        uint64_t ns = power ? (uint64_t)(PARTS + i % PARTS) << (power - 1) : (uint64_t)i;
        return (double)ns / 1e6;
    }
    return 0;
}

static void deliver(struct client *client, const uint64_t *stamp, uint64_t time)
{
    uint64_t publisher = stamp[0], number = stamp[2];
    bool known = !options.publishers || message_known(number);
    if (publisher >= publisher_count || !known) {
        counts.unknown++;
        return;
    }
    struct cell *row = cells + (size_t)client->index * publisher_count;
    if (!arrive(row + publisher, (uint32_t)stamp[1])) return;
    counts.deliveries++;
    if (options.publishers) message_received(number);
    if (measuring) add_latency(time - stamp[3]);
}

/* Reads "publisher.sequence.number.time@"; whether it is a stamp. */
static bool read_stamp(const char **at, const char *end, uint64_t *stamp)
{
    for (int i = 0; i < 4; i++) {
        stamp[i] = read_number(at, end);
        if (*at >= end || *(*at)++ != (i < 3 ? '.' : '@')) return false;
    }
    return true;
}

void ledger_scan(struct client *client, const char *text, size_t length)
{
    const char *at = text, *end = text + length;
    uint64_t stamp[4], time = now();
    while (at < end && (at = memchr(at, '@', (size_t)(end - at)))) {
        at++;
        if (read_stamp(&at, end, stamp)) deliver(client, stamp, time);
    }
}
