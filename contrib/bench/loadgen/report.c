/*
 * report.c - the measured window, and the result: one JSON object.
 */
#include "loadgen.h"

#include <stdio.h>

struct reading {
    uint64_t time, deliveries, completed;
    double own_us, watched_us[MOST_WATCHED];
};

static struct reading first, last;

static struct reading read_all(void)
{
    struct reading reading = {.time = now(), .deliveries = counts.deliveries,
                              .completed = counts.completed, .own_us = own_cpu_us()};
    for (int i = 0; i < options.watched_count; i++)
        reading.watched_us[i] = cpu_us(&options.watched[i]);
    return reading;
}

void window_open(void)
{
    measuring = true;
    first = read_all();
}

void window_close(void)
{
    last = read_all();
    measuring = false;
}

static void number(const char *name, uint64_t value)
{
    printf("\"%s\":%llu,", name, (unsigned long long)value);
}

static void report_window(void)
{
    printf("\"window\":{\"seconds\":%.3f,", (double)(last.time - first.time) / 1e9);
    number("deliveries", last.deliveries - first.deliveries);
    number("messages", last.completed - first.completed);
    printf("\"p50_ms\":%.3f,\"p99_ms\":%.3f,", latency_ms(0.5), latency_ms(0.99));
    printf("\"cpu_us\":{\"loadgen\":%.0f", last.own_us - first.own_us);
    for (int i = 0; i < options.watched_count; i++)
        printf(",\"%s\":%.0f", options.watched[i].name,
               last.watched_us[i] - first.watched_us[i]);
    printf("}}");
}

void report(void)
{
    uint64_t arrived = counts.deliveries;
    putchar('{');
    number("subscribers", (uint64_t)ready_subscribers);
    number("published", counts.published);
    number("acknowledged", counts.acknowledged);
    number("refused", counts.refused);
    number("given_up", counts.given_up);
    number("expected", counts.expected);
    number("deliveries", arrived);
    number("lost", counts.expected > arrived ? counts.expected - arrived : 0);
    number("duplicates", counts.duplicates);
    number("reordered", counts.reordered);
    number("unknown", counts.unknown);
    number("failed_clients", counts.failed_clients);
    report_window();
    puts("}");
}
