/* problems.h - what is wrong with a text, all of it and not only the first: a bounded list.
 *
 * Owns:    plain values.
 * Threads: one a list.
 */
#ifndef ATTUNE_BASE_PROBLEMS_H
#define ATTUNE_BASE_PROBLEMS_H

#include <stdbool.h>

#include "base/error.h"

#define PROBLEMS_MAX 20

struct problem {
    bool warning; /* it may stay so */
    char text[sizeof(((struct error *)0)->message)];
};

/* Errors come before warnings when there is no room for all. */
struct problems {
    struct problem items[PROBLEMS_MAX];
    int count;
    int errors, warnings; /* that were found; more than `count` in all: the rest was dropped */
};

void problems_init(struct problems *p);

void problems_error(struct problems *p, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void problems_warn(struct problems *p, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The first error as a status: ST_OK when there is none, else `code` with its text. */
enum status problems_status(const struct problems *p, enum status code, struct error *err);

#endif
