/* doctor_sources.h - inside src/cmd: the sources of cameras, looked at several at a time.
 *
 * Threads: its own, gone when it returns.
 */
#ifndef ATTUNE_CMD_DOCTOR_SOURCES_H
#define ATTUNE_CMD_DOCTOR_SOURCES_H

#include "server/doctor.h"

struct doctor_sources {
    const struct settings *set;
    const struct camera_list *cameras;
    const char *only; /* a camera's id; NULL: all that have a source */
    double timeout_s; /* for the opening and for each picture */
    double look_s;    /* how long a live source is watched */
    bool quiet;       /* no progress */
};

/* A line for each source. */
enum status doctor_sources(struct doctor *d, const struct doctor_sources *what, struct error *err);

#endif
