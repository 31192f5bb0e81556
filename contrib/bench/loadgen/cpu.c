/*
 * cpu.c - the time that processes have spent on CPUs, in nanoseconds from the scheduler.
 */
#define _GNU_SOURCE
#include "loadgen.h"

#include <dirent.h>
#include <stdio.h>
#include <time.h>

static double task_ns(int pid, const char *task)
{
    char path[128];
    unsigned long long ns = 0;
    snprintf(path, sizeof path, "/proc/%d/task/%.20s/schedstat", pid, task);
    FILE *file = fopen(path, "r");
    if (!file) return 0;
    if (fscanf(file, "%llu", &ns) != 1) ns = 0;
    fclose(file);
    return (double)ns;
}

static double process_ns(int pid)
{
    char path[64];
    double ns = 0;
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *directory = opendir(path);
    if (!directory) return 0;
    for (struct dirent *entry; (entry = readdir(directory));)
        if (entry->d_name[0] != '.') ns += task_ns(pid, entry->d_name);
    closedir(directory);
    return ns;
}

double cpu_us(const struct watch *watch)
{
    double ns = 0;
    for (int i = 0; i < watch->count; i++) ns += process_ns(watch->pids[i]);
    return ns / 1e3;
}

double own_cpu_us(void)
{
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}
