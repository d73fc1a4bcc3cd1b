/* substitute.h - ${env:NAME} and ${file:PATH} in a text, so that secrets need not be in it.
 *
 * A file's newline at its end is not part of it. $${ stands for ${ itself. What is put in is not
 * looked at again. Messages name the variable or the file, never what it holds.
 *
 * Owns:    nothing.
 * Threads: pure, but for the files that it reads.
 */
#ifndef ATTUNE_BASE_SUBSTITUTE_H
#define ATTUNE_BASE_SUBSTITUTE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct substitutes {
    const char *const *environment; /* "NAME=value", NULL at the end; NULL: no variables */
    bool files;                     /* ${file:...} may be read */
};

/* The value of a variable, NULL when it is not there. */
const char *environment_find(const char *const *environment, const char *name);

/* *ret_secret: something was put in. ST_INVALID: not of this form, ST_NOT_FOUND: no such variable
 * or file, ST_LIMIT: longer than size - 1 bytes. */
enum status substitute(const char *text, const struct substitutes *from, char *ret, size_t size,
                       bool *ret_secret, struct error *err);

#endif
