/*
 * options.c - the command line. Every option has one value: --subscribers 1000.
 */
#include "loadgen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct options options = {
    .path = "/bayeux", .subscribers = 100, .publishers = 1, .channels = 1, .outstanding = 8,
    .size = 200, .warmup = 1, .duration = 5, .patience = 5,
};

static char *protocol_name = "bayeux", *transport_name = "websocket", *step_list = "";
static int subscribe_by_pattern;

static const struct {
    const char *name;
    char kind; /* i: int, d: double, s: string */
    void *value;
} table[] = {
    {"--protocol", 's', &protocol_name},
    {"--transport", 's', &transport_name},
    {"--pattern", 'i', &subscribe_by_pattern},
    {"--path", 's', &options.path},
    {"--publish-port", 'i', &options.publish_port},
    {"--subscribe-port", 'i', &options.subscribe_port},
    {"--subscribers", 'i', &options.subscribers},
    {"--publishers", 'i', &options.publishers},
    {"--channels", 'i', &options.channels},
    {"--outstanding", 'i', &options.outstanding},
    {"--size", 'i', &options.size},
    {"--messages", 'i', &options.messages},
    {"--rate", 'd', &options.rate},
    {"--warmup", 'd', &options.warmup},
    {"--duration", 'd', &options.duration},
    {"--patience", 'd', &options.patience},
    {"--steps", 's', &step_list},
};

static void set(const char *name, char *value)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (strcmp(table[i].name, name)) continue;
        if (table[i].kind == 'i') *(int *)table[i].value = atoi(value);
        else if (table[i].kind == 'd') *(double *)table[i].value = atof(value);
        else *(char **)table[i].value = value;
        return;
    }
    die("unknown option %s", name);
}

/* name=pid,pid */
static void watch(char *text)
{
    if (options.watched_count == MOST_WATCHED) die("too many --watch");
    struct watch *watch = &options.watched[options.watched_count++];
    char *pids = strchr(text, '=');
    if (!pids) die("--watch wants name=pid,pid");
    *pids++ = 0;
    snprintf(watch->name, sizeof watch->name, "%s", text);
    for (char *pid = strtok(pids, ","); pid; pid = strtok(NULL, ",")) {
        if (watch->count == MOST_PIDS) die("too many processes in %s", watch->name);
        watch->pids[watch->count++] = atoi(pid);
    }
}

static void read_steps(void)
{
    char *list = strdup(step_list);
    for (char *step = strtok(list, ","); step; step = strtok(NULL, ",")) {
        if (options.step_count == MOST_STEPS) die("too many --steps");
        options.steps[options.step_count++] = atoi(step);
    }
    free(list);
}

static void check(void)
{
    struct options *o = &options;
    if (!o->subscribe_port) die("--subscribe-port is missing");
    if (!o->publish_port) o->publish_port = o->subscribe_port;
    if (o->size < 100 || o->size > MOST_DATA) die("--size must be from 100 to %d", MOST_DATA);
    if (o->publishers < 0 || o->channels < 1 || o->outstanding < 1) die("a number is too small");
    if (!o->publishers && !o->messages) die("without publishers --messages says what to wait for");
    for (int i = 0; i < o->step_count; i++)
        if (o->steps[i] > o->subscribers) die("--steps goes beyond --subscribers");
    if (o->socketio && (o->long_polling || o->pattern)) die("socketio: WebSocket, no patterns");
}

void options_parse(int argc, char **argv)
{
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 == argc) die("%s has no value", argv[i]);
        if (!strcmp(argv[i], "--watch")) watch(argv[i + 1]);
        else set(argv[i], argv[i + 1]);
    }
    options.socketio = !strcmp(protocol_name, "socketio");
    options.long_polling = !strcmp(transport_name, "long-polling");
    options.pattern = subscribe_by_pattern;
    read_steps();
    check();
}
