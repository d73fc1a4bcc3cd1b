/* status.c - our statuses and errors as the public ones. */
#include <stdio.h>
#include <string.h>

#include "library/library.h"

#define SAME(ours, theirs) _Static_assert((int)(ours) == (int)(theirs), "the public numbers stay")
SAME(ST_OK, ATTUNE_OK);
SAME(ST_AGAIN, ATTUNE_AGAIN);
SAME(ST_END, ATTUNE_END);
SAME(ST_INVALID, ATTUNE_INVALID);
SAME(ST_FORMAT, ATTUNE_FORMAT);
SAME(ST_UNSUPPORTED, ATTUNE_UNSUPPORTED);
SAME(ST_LIMIT, ATTUNE_LIMIT);
SAME(ST_NOMEM, ATTUNE_NOMEM);
SAME(ST_IO, ATTUNE_IO);
SAME(ST_NOT_FOUND, ATTUNE_NOT_FOUND);
SAME(ST_CONFLICT, ATTUNE_CONFLICT);
SAME(ST_DENIED, ATTUNE_DENIED);
SAME(ST_NETWORK, ATTUNE_NETWORK);
SAME(ST_INTERNAL, ATTUNE_INTERNAL);
SAME(ST_COUNT, ATTUNE_INTERNAL + 1);
_Static_assert(sizeof((struct error *)0)->message == sizeof((attune_error *)0)->message,
               "messages fit");

const char *attune_version(void)
{
    return ATTUNE_VERSION;
}

const char *attune_status_text(attune_status status)
{
    return status_text((enum status)status);
}

attune_status library_status(enum status st, const struct error *err, attune_error *to)
{
    if (st != ST_OK && to) {
        to->code = (attune_status)st;
        snprintf(to->message, sizeof to->message, "%s",
                 err->message[0] ? err->message : status_text(st));
    }
    return (attune_status)st;
}

attune_status library_null(const char *what, attune_error *to)
{
    struct error err;
    return library_status(error_set(&err, ST_INVALID, "%s must not be NULL", what), &err, to);
}
