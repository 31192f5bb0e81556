/*
 * loadgen.h - what the parts of the load generator share.
 *
 * One thread and one epoll loop drive all clients. Nothing parses JSON: every message carries a
 * stamp "@publisher.sequence.number.time@" in its data, and subscribers look for stamps. The
 * generator has to be much cheaper than the server that it measures.
 *
 * Layers, from the bottom: loop.c (sockets), websocket.c and http.c (transports), bayeux.c and
 * socketio.c (protocols), publish.c (what is outstanding), ledger.c (what has arrived).
 */
#ifndef LOADGEN_H
#define LOADGEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MOST_STEPS = 32, MOST_WATCHED = 8, MOST_PIDS = 64, MOST_DATA = 4000 };

/* options.c: the command line. Times are in seconds, sizes in bytes. */

struct watch {
    char name[32]; /* of a group of processes whose CPU time is taken */
    int pids[MOST_PIDS];
    int count;
};

struct options {
    bool socketio;     /* else Bayeux */
    bool long_polling; /* subscribers; publishers always use a WebSocket */
    bool pattern;      /* subscribe to all channels below the channel's parent */
    char *path;
    int publish_port, subscribe_port;
    int subscribers, channels;
    int publishers; /* 0: another load generator publishes, and this one only counts */
    int outstanding; /* publishes in flight per publisher */
    int size;        /* of a message's data */
    int messages;    /* publish or expect exactly so many; else for warmup and duration */
    double rate;     /* publishes per second, regardless of what is in flight; 0: closed loop */
    double warmup, duration;
    double patience; /* a message is given up after it; then its place is free again */
    int steps[MOST_STEPS], step_count; /* numbers of subscribers at which to wait for a line */
    struct watch watched[MOST_WATCHED];
    int watched_count;
};

extern struct options options;

void options_parse(int argc, char **argv);

/* loop.c: sockets, buffers and the loop. */

struct client;

struct transport {
    void (*connected)(struct client *);
    size_t (*consume)(struct client *, char *, size_t); /* bytes taken; the rest comes again */
    void (*send)(struct client *, const char *, size_t); /* one text */
};

struct protocol {
    void (*opened)(struct client *); /* the transport is ready for texts */
    void (*text)(struct client *, char *, size_t);
    int (*publication)(struct client *, char *, size_t, int channel, uint64_t number,
                       const char *data); /* writes the text, returns its length */
};

struct buffer {
    char *data;
    size_t start, end, capacity;
};

enum state { WAITING, CONNECTING, OPENING, JOINING, READY, DEAD };

struct client {
    int fd;
    enum state state;
    bool publisher, wants_write;
    int index;   /* among the publishers, or among the subscribers */
    int channel; /* that it subscribes to */
    int port;
    unsigned last_id; /* of a Bayeux message */
    char id[64];
    const struct transport *transport;
    struct buffer in, out;
};

void loop_start(void);
void loop_once(int milliseconds);
void loop_for(double seconds);
bool loop_line_read(void); /* a line came on standard input since the last call, or it ended */
void client_connect(struct client *client);
void client_write(struct client *client, const char *bytes, size_t count);
void client_flush(struct client *client);
void client_fail(struct client *client, const char *reason);
uint64_t now(void); /* in ns, of a clock that never jumps */
void die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
void *allocate(size_t count, size_t size); /* zeroed */

/* websocket.c, http.c, bayeux.c, socketio.c, text.c */

extern const struct transport websocket, long_polling;
extern const struct protocol bayeux, socketio;
extern const struct protocol *protocol;

void send_text(struct client *client, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
const char *find(const char *text, size_t length, const char *wanted);
uint64_t read_number(const char **at, const char *end);

/* clients.c: all clients, and who of them is ready. */

extern struct client *subscribers, *publishers;
extern int ready_subscribers, ready_publishers, opening_clients;

void clients_create(void);
void clients_open(int up_to); /* returns when so many subscribers and all publishers are ready */
void client_ready(struct client *client);

/* publish.c: messages between their publication and their last delivery. */

void publish_start(void);
void publish_due(void); /* publishes what may be published now */
bool publish_settled(void); /* nothing is on its way, or it has been given up */
void publish_forget_late(void);
void message_acknowledged(uint64_t number, bool successful);
void message_received(uint64_t number);
bool message_known(uint64_t number);

/* ledger.c: counts, sequences and latencies. */

struct counts {
    uint64_t published, acknowledged, refused, completed, given_up;
    uint64_t expected, deliveries, duplicates, reordered, unknown;
    uint64_t failed_clients;
};

extern struct counts counts;
extern bool measuring; /* latencies are taken */
extern int *members;   /* subscribers by channel */

void ledger_start(void);
void ledger_scan(struct client *client, const char *text, size_t length);
double latency_ms(double quantile);

/* cpu.c */

double cpu_us(const struct watch *watch); /* on CPU so far, all threads */
double own_cpu_us(void);

/* report.c: the measured window, and the result as JSON. */

void window_open(void);
void window_close(void);
void report(void);

#endif
