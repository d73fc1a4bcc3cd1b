/* cores.c - Linux: affinity of a thread, cores by the lists of siblings under /sys. */
#include "base/cores.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

/* ---- sets and lists ---- */

void cores_add(struct cores *c, int cpu)
{
    assert(cpu >= 0 && cpu < CORES_MAX);
    c->word[cpu / 64] |= (uint64_t)1 << cpu % 64;
}

static void remove_core(struct cores *c, int cpu)
{
    c->word[cpu / 64] &= ~((uint64_t)1 << cpu % 64);
}

int cores_count(const struct cores *c)
{
    int count = 0;
    for (int i = 0; i < CORES_MAX / 64; i++)
        count += __builtin_popcountll(c->word[i]);
    return count;
}

/* -1 when there is no number below CORES_MAX. */
static int take_number(const char **at)
{
    int n = 0, digits = 0;
    for (; **at >= '0' && **at <= '9' && n < CORES_MAX; (*at)++, digits++)
        n = 10 * n + (**at - '0');
    return digits > 0 && n < CORES_MAX ? n : -1;
}

enum status cores_parse(const char *text, struct cores *ret, struct error *err)
{
    struct cores c = {{0}};
    const char *at = text;
    for (int last = -1;;) {
        int first = take_number(&at), end = first;
        if (*at == '-') {
            at++;
            end = take_number(&at);
        }
        if (first <= last || end < first || (*at != ',' && *at != '\0'))
            return error_set(err, ST_INVALID,
                             "'%.60s' is no list of processors such as 0-3,8 (rising, below %d)",
                             text, CORES_MAX);
        for (int cpu = first; cpu <= end; cpu++)
            cores_add(&c, cpu);
        if (*at++ == '\0')
            break;
        last = end;
    }
    *ret = c;
    return ST_OK;
}

void cores_write(const struct cores *c, char text[CORES_TEXT_BYTES])
{
    size_t n = 0;
    snprintf(text, CORES_TEXT_BYTES, "none");
    for (int cpu = 0; cpu < CORES_MAX; cpu++) {
        if (!cores_has(c, cpu))
            continue;
        int first = cpu;
        while (cpu + 1 < CORES_MAX && cores_has(c, cpu + 1))
            cpu++;
        n += (size_t)snprintf(text + n, CORES_TEXT_BYTES - n, "%s%d", n ? "," : "", first);
        if (cpu > first)
            n += (size_t)snprintf(text + n, CORES_TEXT_BYTES - n, "-%d", cpu);
        assert(n < CORES_TEXT_BYTES);
    }
}

/* ---- the machine ---- */

/* The lowest number among the hyperthreads of a core: names the core. `cpu` where /sys is silent.
 */
static int sibling_of(int cpu)
{
    char path[96];
    int lowest = cpu;
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
    FILE *f = fopen(path, "re");
    if (!f)
        return cpu;
    if (fscanf(f, "%d", &lowest) != 1 || lowest < 0 || lowest >= CORES_MAX)
        lowest = cpu;
    fclose(f);
    return lowest;
}

enum status cores_machine_read(struct cores_machine *ret, struct error *err)
{
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        return error_set(err, ST_IO, "cannot ask for processors: %s", strerror(errno));
    *ret = (struct cores_machine){0};
    for (int cpu = 0; cpu < CORES_MAX && cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &allowed)) {
            cores_add(&ret->usable, cpu);
            ret->core_of[cpu] = sibling_of(cpu);
        }
    return ST_OK;
}

/* Moves processors until *ret has `count`; with `fresh` only of cores that are not in `taken`. */
static void take(const struct cores_machine *m, struct cores *from, struct cores *ret,
                 struct cores *taken, int count, bool fresh)
{
    for (int cpu = 0; cpu < CORES_MAX && cores_count(ret) < count; cpu++) {
        if (!cores_has(from, cpu) || (fresh && cores_has(taken, m->core_of[cpu])))
            continue;
        remove_core(from, cpu);
        cores_add(ret, cpu);
        cores_add(taken, m->core_of[cpu]);
    }
}

enum status cores_take(const struct cores_machine *m, struct cores *from, int count,
                       struct cores *ret, struct error *err)
{
    struct cores got = {{0}}, taken = {{0}};
    if (cores_count(from) < count)
        return error_set(err, ST_LIMIT, "%d threads need as many processors, there are %d", count,
                         cores_count(from));
    take(m, from, &got, &taken, count, true);
    take(m, from, &got, &taken, count, false);
    *ret = got;
    return ST_OK;
}

enum status cores_pin(const struct cores *c, struct error *err)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    for (int cpu = 0; cpu < CORES_MAX && cpu < CPU_SETSIZE; cpu++)
        if (cores_has(c, cpu))
            CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0)
        return error_set(err, ST_IO, "cannot choose processors: %s", strerror(errno));
    return ST_OK;
}

int cores_usable_count(void)
{
    struct cores_machine m;
    return cores_machine_read(&m, NULL) == ST_OK ? cores_count(&m.usable) : 1;
}

enum status cores_pin_some(int count, struct error *err)
{
    struct cores_machine m;
    struct cores some;
    enum status st = cores_machine_read(&m, err);
    if (st == ST_OK)
        st = cores_take(&m, &m.usable, count, &some, err);
    return st == ST_OK ? cores_pin(&some, err) : st;
}

/* ---- plan ---- */

static bool is_auto(const struct cores_role *r)
{
    return strcmp(r->wish, CORES_AUTO) == 0;
}

/* Takes the list of one role out of what is left. */
static enum status grant(const struct cores_machine *m, struct cores_role *r, struct cores *left,
                         struct error *err)
{
    enum status st = cores_parse(r->wish, &r->own, err);
    if (st != ST_OK)
        return error_prefix(err, "%s", r->name);
    if (cores_count(&r->own) < r->threads)
        return error_set(err, ST_INVALID, "%s has %d threads, the list %.60s has %d processors",
                         r->name, r->threads, r->wish, cores_count(&r->own));
    for (int cpu = 0; cpu < CORES_MAX; cpu++) {
        if (!cores_has(&r->own, cpu))
            continue;
        if (!cores_has(left, cpu))
            return error_set(err, ST_INVALID, "%s: processor %d %s", r->name, cpu,
                             cores_has(&m->usable, cpu) ? "is another role's already"
                                                        : "is not one that may be used here");
        remove_core(left, cpu);
    }
    return ST_OK;
}

/* What the roles without a list come to. */
struct wanted {
    int threads, most;
};

static struct wanted wanted_of(const struct cores_role *roles, int count)
{
    struct wanted w = {0};
    for (int i = 0; i < count; i++) {
        if (!is_auto(&roles[i]))
            continue;
        w.threads += roles[i].threads;
        w.most = roles[i].threads > w.most ? roles[i].threads : w.most;
    }
    return w;
}

static enum status share_out(const struct cores_machine *m, struct cores_role *roles, int count,
                             struct cores *left, struct error *err)
{
    enum status st = ST_OK;
    for (int i = 0; i < count && st == ST_OK; i++)
        if (is_auto(&roles[i]))
            st = cores_take(m, left, roles[i].threads, &roles[i].own, err);
    return st;
}

/* One thread each, wherever the system puts it. */
static void schedule_all(struct cores_role *roles, int count, const struct cores *where)
{
    for (int i = 0; i < count; i++)
        if (is_auto(&roles[i])) {
            roles[i].threads = 1;
            roles[i].own = *where;
        }
}

enum status cores_plan(const struct cores_machine *m, struct cores_role *roles, int count,
                       struct cores_plan *ret, struct error *err)
{
    struct cores_plan p = {0};
    struct cores left = m->usable;
    enum status st = ST_OK;
    assert(count <= CORES_ROLES_MAX);
    for (int i = 0; i < count && st == ST_OK; i++)
        if (!is_auto(&roles[i])) {
            p.pinned = true;
            st = grant(m, &roles[i], &left, err);
        }
    if (st != ST_OK)
        return st;
    const struct wanted w = wanted_of(roles, count);
    if (w.most > 1 && w.threads <= cores_count(&left)) {
        p.pinned = true;
        st = share_out(m, roles, count, &left, err);
    } else {
        p.fewer = w.most > 1;
        schedule_all(roles, count, cores_count(&left) ? &left : &m->usable);
    }
    p.rest = cores_count(&left) ? left : m->usable;
    if (st == ST_OK)
        *ret = p;
    return st;
}

void cores_plan_write(const struct cores_plan *p, const struct cores_role *roles, int count,
                      char *text, size_t size_bytes)
{
    char list[CORES_TEXT_BYTES];
    size_t n = 0;
    for (int i = 0; i < count && n < size_bytes; i++) {
        cores_write(&roles[i].own, list);
        n += (size_t)snprintf(text + n, size_bytes - n, "%s %s (%d thread%s), ", roles[i].name,
                              list, roles[i].threads, roles[i].threads > 1 ? "s" : "");
    }
    cores_write(&p->rest, list);
    if (n < size_bytes)
        snprintf(text + n, size_bytes - n, "rest %s", list);
}
