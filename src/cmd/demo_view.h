/* demo_view.h - what `attune demo` knows of its cameras, and how it shows it.
 *
 * Threads: one.
 */
#ifndef ATTUNE_CMD_DEMO_VIEW_H
#define ATTUNE_CMD_DEMO_VIEW_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define DEMO_CAMERAS 8

/* A camera: live values from its score lines, the rest from its summary and the server. Accuracies
 * are mIoU, NaN where nothing is known. */
struct demo_camera {
    const char *id;
    char condition[64];
    double now, now_unadapted; /* over the last 10 s */
    double up_kbps, down_kbps;
    uint64_t version, frames;

    bool finished;                     /* the summary has come: */
    double exact, exact_unadapted;     /* last minute, against exact labels */
    double teacher, teacher_unadapted; /* last minute, against the teacher */
    double latency_p95_ms;
    uint64_t versions_applied, dropped_late, dropped_by_swap;
};

struct demo_view {
    FILE *to;      /* NULL: nothing is shown */
    bool terminal; /* redraw in place; otherwise a line now and then */
    bool drawn;    /* there is a block to go back over */
    uint64_t start_us, total_us, line_us;
    char page[64];
};

/* A camera about which nothing is known yet. */
void demo_camera_init(struct demo_camera *c, const char *id);

/* Takes over one line of `attune camera --results - --json`. */
void demo_camera_line(struct demo_camera *c, const char *line);

void demo_view_draw(struct demo_view *v, const struct demo_camera *cameras, uint64_t now_us);

/* groups: the answer of GET /v1/groups, NULL where there is none. */
void demo_print_table(FILE *to, const struct demo_camera *cameras, const json_t *groups);

/* reasons: what fell short, "" for nothing. */
void demo_print_json(FILE *to, const struct demo_camera *cameras, const json_t *groups,
                     double elapsed_s, const char *reasons);

#endif
