/*
 * main.c - the phases of a run: open all clients, warm up, measure, and wait for the rest.
 */
#include "loadgen.h"

#include <stdio.h>
#include <sys/resource.h>

static const double LINGER = 0.3; /* s in which late copies may still come */

static void raise_file_limit(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* Whoever started us looks at the servers now, and writes a line when it has done so. */
static void wait_at_step(int clients)
{
    printf("{\"opened\":%d}\n", clients);
    fflush(stdout);
    while (!loop_line_read()) loop_once(100);
}

static void open_in_steps(void)
{
    for (int i = 0; i < options.step_count; i++) {
        clients_open(options.steps[i]);
        wait_at_step(options.steps[i]);
    }
    clients_open(options.subscribers);
}

/* Milliseconds until there may be something to publish regardless of what comes in. */
static int pause_ms(void)
{
    return options.rate > 0 ? 1 : 20;
}

static void publish_for(double seconds)
{
    uint64_t end = now() + (uint64_t)(seconds * 1e9);
    while (now() < end) {
        publish_due();
        loop_once(pause_ms());
        publish_forget_late();
    }
}

static void publish_all(void)
{
    while (counts.published < (uint64_t)options.messages || !publish_settled()) {
        publish_due();
        loop_once(pause_ms());
        publish_forget_late();
        if (counts.failed_clients) break;
    }
}

static void listen_to_all(void)
{
    uint64_t end = now() + (uint64_t)(options.patience * 1e9);
    counts.expected = (uint64_t)options.messages * (uint64_t)ready_subscribers;
    while (counts.deliveries < counts.expected && now() < end) loop_once(20);
}

static void run(void)
{
    loop_for(LINGER);
    if (!options.messages) publish_for(options.warmup);
    window_open();
    if (!options.publishers) listen_to_all();
    else if (options.messages) publish_all();
    else publish_for(options.duration);
    window_close();
    while (!publish_settled()) loop_once(20);
    loop_for(LINGER);
}

int main(int argc, char **argv)
{
    options_parse(argc, argv);
    raise_file_limit();
    ledger_start();
    publish_start();
    clients_create();
    loop_start();
    open_in_steps();
    if (options.messages || options.duration > 0) run();
    report();
    return 0;
}
