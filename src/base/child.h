/* child.h - programs that ours runs beside itself: started with pipes, watched, stopped in order.
 *
 * Owns:    a struct child its process and the reading end of its standard output.
 * Threads: one a struct; the one that starts a child must live as long as that does (it gets
 *          SIGTERM when this thread ends).
 * Errors:  ST_IO when a process cannot be started.
 */
#ifndef ATTUNE_BASE_CHILD_H
#define ATTUNE_BASE_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

#define CHILD_LINE_BYTES_MAX 8192
#define CHILD_VARIABLES_MAX 4

struct child {
    pid_t pid;       /* 0: none, or reaped */
    int out_fd;      /* its standard output, non-blocking; -1: closed */
    int wait_status; /* as of waitpid, once reaped */
    char line[CHILD_LINE_BYTES_MAX];
    size_t filled_bytes;
    bool overlong; /* the present line is dropped */
};

void child_init(struct child *c);

/* Our environment with these, "NAME=VALUE" or NULL, in front, so that they hide those of the same
 * name; for execve. The array is the caller's to free, the texts are borrowed. NULL: no memory. */
char **child_environment(const char *const *more, int count);

struct child_options {
    const char *program;  /* NULL: this very program */
    const char *log_path; /* of its standard error; NULL: ours */
    bool merge;           /* its standard error goes the way of its standard output */
    /* "NAME=VALUE", added to our environment (also for what `ps` must not show); NULL: none */
    const char *environment[CHILD_VARIABLES_MAX];
    /* A descriptor of ours that it inherits under the number keep_as, above 2; 0: none. */
    int keep_fd, keep_as;
};

/* Runs a program with argv (argv[0] included, NULL at the end). It gets SIGTERM when we die, and no
 * signals of our terminal. options NULL: all as zeros are. */
enum status child_start(struct child *c, char *const *argv, const struct child_options *options,
                        struct error *err);

/* Calls on_line for each whole line (without its end) that is there; does not wait. */
void child_read_lines(struct child *c, void (*on_line)(void *context, const char *line),
                      void *context);

/* True while it runs; reaps it when it does not. */
bool child_runs(struct child *c);

/* SIGTERM; SIGKILL when it still runs after grace_us. Reads its lines meanwhile. */
void child_stop(struct child *c, uint64_t grace_us,
                void (*on_line)(void *context, const char *line), void *context);

/* Closes the pipe; the process must have ended. */
void child_clear(struct child *c);

#endif
