/* worker_process.c - a socket pair instead of two pipes: one descriptor to watch, and a write to a
 * dead child is an error code instead of a signal. */
#include "server/worker_process.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/child.h"
#include "base/clock.h"

#define SLICE_MS 100 /* how soon a stop of the server is seen */

void worker_process_init(struct worker_process *w)
{
    memset(w, 0, sizeof *w);
    w->fd = -1;
    buf_init(&w->line);
}

static int spawn(pid_t *ret, char *const *argv, const struct worker_process_start *start, int end)
{
    char **environment = child_environment(&start->setting, 1);
    if (!environment)
        return ENOMEM;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, end, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, end, STDOUT_FILENO);
    if (start->fd >= 0)
        posix_spawn_file_actions_adddup2(&actions, start->fd, WORKER_PROCESS_FD);
    int code = posix_spawn(ret, argv[0], &actions, NULL, argv, environment);
    posix_spawn_file_actions_destroy(&actions);
    free(environment);
    return code;
}

enum status worker_process_start(struct worker_process *w, char *const *argv,
                                 const struct worker_process_start *start, struct error *err)
{
    static const struct worker_process_start plain = {.fd = -1};
    int pair[2];
    start = start ? start : &plain;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return error_set(err, ST_IO, "cannot make a socket pair: %s", strerror(errno));
    int code = spawn(&w->pid, argv, start, pair[1]);
    close(pair[1]);
    if (code != 0) {
        close(pair[0]);
        w->pid = 0;
        return error_set(err, ST_IO, "cannot start the worker %s: %s", argv[0], strerror(code));
    }
    w->fd = pair[0];
    w->line.size_bytes = 0;
    struct rlimit most = {start->memory_mb << 20, start->memory_mb << 20};
    if (start->memory_mb && prlimit(w->pid, RLIMIT_AS, &most, NULL) != 0)
        return error_set(err, ST_IO, "cannot bound the worker's memory: %s", strerror(errno));
    return ST_OK;
}

void worker_process_stop(struct worker_process *w)
{
    if (w->pid > 0) {
        kill(w->pid, SIGKILL);
        while (waitpid(w->pid, NULL, 0) < 0 && errno == EINTR)
            ;
        close(w->fd);
    }
    buf_clear(&w->line);
    uint64_t requests = w->requests;
    worker_process_init(w);
    w->requests = requests; /* an answer to an old process's request is never taken for a new one */
}

/* The end of the connection is seen a moment before the end of the process. */
static pid_t reap(pid_t pid, int *ret_how)
{
    pid_t done = 0;
    for (int i = 0; i < 100 && done == 0; i++) {
        done = waitpid(pid, ret_how, WNOHANG);
        if (done == 0)
            clock_sleep_until_us(clock_mono_us() + 10000);
    }
    return done;
}

static enum status fail_gone(struct worker_process *w, struct error *err)
{
    int how;
    pid_t done = reap(w->pid, &how);
    if (done == w->pid) {
        w->pid = 0;
        close(w->fd);
        w->fd = -1;
        if (WIFSIGNALED(how))
            return error_set(err, ST_NETWORK, "the worker was killed by signal %d (%s)",
                             WTERMSIG(how), strsignal(WTERMSIG(how)));
        return error_set(err, ST_NETWORK, "the worker ended with status %d", WEXITSTATUS(how));
    }
    return error_set(err, ST_NETWORK, "the worker closed its connection");
}

static enum status send_line(struct worker_process *w, const json_t *request, struct error *err)
{
    char *text = json_dumps(request, JSON_COMPACT);
    if (!text)
        return error_set(err, ST_NOMEM, "no memory for a request to the worker");
    size_t n = strlen(text), at = 0;
    text[n++] = '\n'; /* over the NUL: from here on it is bytes, not a string */
    enum status st = ST_OK;
    while (at < n && st == ST_OK) {
        ssize_t sent = send(w->fd, text + at, n - at, MSG_NOSIGNAL);
        if (sent > 0)
            at += (size_t)sent;
        else if (errno != EINTR)
            st = fail_gone(w, err);
    }
    free(text);
    return st;
}

/* The first whole line in w->line as JSON; ST_AGAIN when there is none yet. */
static enum status take_line(struct worker_process *w, json_t **ret, struct error *err)
{
    uint8_t *end = w->line.size_bytes ? memchr(w->line.data, '\n', w->line.size_bytes) : NULL;
    if (!end)
        return w->line.size_bytes < WORKER_LINE_BYTES_MAX
                   ? ST_AGAIN
                   : error_set(err, ST_NETWORK, "the worker's answer is too long");
    size_t n = (size_t)(end - w->line.data);
    json_t *value = json_loadb((const char *)w->line.data, n, 0, NULL);
    memmove(w->line.data, end + 1, w->line.size_bytes - n - 1);
    w->line.size_bytes -= n + 1;
    if (!json_is_object(value)) {
        json_decref(value);
        return error_set(err, ST_NETWORK, "the worker's answer is not a JSON object");
    }
    *ret = value;
    return ST_OK;
}

static enum status receive(struct worker_process *w, uint64_t until_us, struct bell *bell,
                           struct error *err)
{
    for (;;) {
        struct pollfd p = {.fd = w->fd, .events = POLLIN};
        int code = poll(&p, 1, SLICE_MS);
        if (bell_stopped(bell))
            return error_set(err, ST_AGAIN, "the server is stopping");
        if (code > 0)
            break;
        if (clock_mono_us() >= until_us)
            return error_set(err, ST_NETWORK, "the worker did not answer in time");
    }
    uint8_t part[4096];
    ssize_t n = recv(w->fd, part, sizeof part, MSG_DONTWAIT);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return ST_OK;
    if (n <= 0)
        return fail_gone(w, err);
    buf_put(&w->line, part, (size_t)n);
    return w->line.failed ? error_set(err, ST_NOMEM, "no memory for the worker's answer") : ST_OK;
}

static enum status check_reply(json_t *reply, uint64_t id, struct error *err)
{
    const char *why = json_string_value(json_object_get(reply, "error"));
    if ((uint64_t)json_integer_value(json_object_get(reply, "id")) != id)
        return error_set(err, ST_NETWORK, "the worker answered another request");
    if (!json_is_true(json_object_get(reply, "ok")))
        return error_set(err, ST_INVALID, "%s", why ? why : "the worker refused without a reason");
    return ST_OK;
}

enum status worker_process_ask(struct worker_process *w, json_t *request, uint64_t until_us,
                               struct bell *bell, json_t **ret_reply, struct error *err)
{
    uint64_t id = ++w->requests;
    json_object_set_new(request, "id", json_integer((json_int_t)id));
    enum status st = w->pid > 0 ? send_line(w, request, err)
                                : error_set(err, ST_NETWORK, "the worker is not running");
    json_decref(request);
    json_t *reply = NULL;
    while (st == ST_OK && (st = take_line(w, &reply, err)) == ST_AGAIN)
        st = receive(w, until_us, bell, err);
    if (st == ST_OK)
        st = check_reply(reply, id, err);
    if (st != ST_OK) {
        json_decref(reply);
        return st;
    }
    *ret_reply = reply;
    return ST_OK;
}
