/* cores.c - Linux: affinity of the process, cores by the lists of siblings under /sys. */
#include "bench/cores.h"

#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

int bench_cores_count(void)
{
    cpu_set_t allowed;
    return sched_getaffinity(0, sizeof allowed, &allowed) == 0 ? CPU_COUNT(&allowed) : 1;
}

/* The lowest number among the hyperthreads of a core: names the core. `cpu` where /sys is silent.
 */
static int core_of(int cpu)
{
    char path[96];
    int lowest = cpu;
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
    FILE *f = fopen(path, "re");
    if (!f)
        return cpu;
    if (fscanf(f, "%d", &lowest) != 1)
        lowest = cpu;
    fclose(f);
    return lowest;
}

/* Moves processors from `allowed` to `taken` until it has `count`; with `fresh` one a core. */
static void take(cpu_set_t *allowed, cpu_set_t *taken, cpu_set_t *cores, int count, bool fresh)
{
    for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(taken) < count; cpu++) {
        int core = CPU_ISSET(cpu, allowed) ? core_of(cpu) : -1;
        if (core < 0 || core >= CPU_SETSIZE || (fresh && CPU_ISSET(core, cores)))
            continue;
        CPU_CLR(cpu, allowed);
        CPU_SET(cpu, taken);
        CPU_SET(core, cores);
    }
}

enum status bench_cores_pin(int count, struct error *err)
{
    cpu_set_t allowed, taken, cores;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        return error_set(err, ST_IO, "cannot ask for processors: %s", strerror(errno));
    if (CPU_COUNT(&allowed) < count)
        return error_set(err, ST_LIMIT, "%d threads need as many processors, there are %d", count,
                         CPU_COUNT(&allowed));
    CPU_ZERO(&taken);
    CPU_ZERO(&cores);
    take(&allowed, &taken, &cores, count, true);
    take(&allowed, &taken, &cores, count, false);
    if (sched_setaffinity(0, sizeof taken, &taken) != 0)
        return error_set(err, ST_IO, "cannot choose processors: %s", strerror(errno));
    return ST_OK;
}
