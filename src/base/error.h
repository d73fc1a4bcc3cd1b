/* error.h - the one way a function says that it could not do what was asked.
 *
 * Owns:    nothing; a struct error is a value that the caller keeps.
 * Threads: no shared state.
 * Memory:  fixed; messages are cut, never allocated.
 * Errors:  expected conditions return a status, misuse and our own bugs abort (assert).
 *
 * Nothing below src/cmd prints or exits: it returns a status and, where a person may have to act,
 * one sentence in `message` that says what is wrong and what to do.
 */
#ifndef ATTUNE_BASE_ERROR_H
#define ATTUNE_BASE_ERROR_H

#define STATUS_LIST(X)                                                                             \
    X(OK, "ok")                                                                                    \
    X(AGAIN, "nothing yet, ask again")                                                             \
    X(END, "end of the stream")                                                                    \
    X(INVALID, "invalid argument")                                                                 \
    X(FORMAT, "malformed input")                                                                   \
    X(UNSUPPORTED, "not supported")                                                                \
    X(LIMIT, "over a limit")                                                                       \
    X(NOMEM, "out of memory")                                                                      \
    X(IO, "input/output error")                                                                    \
    X(NOT_FOUND, "not found")                                                                      \
    X(CONFLICT, "conflicts with the present state")                                                \
    X(DENIED, "not permitted")                                                                     \
    X(NETWORK, "network error")                                                                    \
    X(INTERNAL, "internal error")

enum status {
#define STATUS_ENUM(name, text) ST_##name,
    STATUS_LIST(STATUS_ENUM)
#undef STATUS_ENUM
        ST_COUNT
};

struct error {
    enum status code;
    char message[512];
};

/* Short English text of a status; never NULL. */
const char *status_text(enum status code);

/* Fills *err (NULL is allowed and ignored) and returns code, so that reporting and returning are
 * one line: return error_set(err, ST_FORMAT, "..."); */
enum status error_set(struct error *err, enum status code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "context: " before the message that is there; returns err->code (ST_INTERNAL for NULL). */
enum status error_prefix(struct error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
