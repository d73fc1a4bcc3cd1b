#include "base/progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define REDRAW_US 100000u
#define BAR_CELLS 24

void progress_init(struct progress *p, const char *label, uint64_t total, bool quiet,
                   uint64_t now_us)
{
    *p = (struct progress){.label = label,
                           .total = total,
                           .start_us = now_us,
                           .enabled = !quiet && isatty(STDERR_FILENO)};
}

void progress_update(struct progress *p, uint64_t done, const char *note, uint64_t now_us)
{
    bool last = p->total && done >= p->total;
    if (!p->enabled || (!last && p->drawn_us && now_us - p->drawn_us < REDRAW_US))
        return;
    p->drawn_us = now_us;
    char bar[BAR_CELLS + 1];
    uint64_t full = p->total ? (done > p->total ? p->total : done) * BAR_CELLS / p->total : 0;
    for (uint64_t i = 0; i < BAR_CELLS; i++)
        bar[i] = i < full ? '#' : '.';
    bar[BAR_CELLS] = '\0';
    double spent_s = (double)(now_us - p->start_us) / 1e6;
    double left_s =
        done && p->total > done ? spent_s * (double)(p->total - done) / (double)done : 0;
    fprintf(stderr, "\r\033[K%s [%s] %llu/%llu  %.0f s, %.0f s left  %s", p->label, bar,
            (unsigned long long)done, (unsigned long long)p->total, spent_s, left_s,
            note ? note : "");
    fflush(stderr);
}

void progress_clear(struct progress *p)
{
    if (p->enabled && p->drawn_us)
        fprintf(stderr, "\r\033[K");
}
