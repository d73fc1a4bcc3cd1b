/* child.c - vfork and exec, and the reading of lines without waiting.
 *
 * Not fork: in a process of many threads that runs the libraries' handlers, and one that wants a
 * lock which another thread held waits for ever (libomp's allocates). posix_spawn cannot do all
 * that is wanted here. So between vfork and exec there are system calls alone, with signals
 * blocked. */
#include "base/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

#define STOP_POLL_US 20000

void child_init(struct child *c)
{
    memset(c, 0, sizeof *c);
    c->out_fd = -1;
}

/* What the new process needs; made before the fork, since memory is not to be had after it. */
struct start {
    const char *program;
    char *const *argv;
    char **environment;
    int out_fd, log_fd, keep_fd, keep_as;
    pid_t parent;
};

/* In the new process, on our memory: wire it up and become the program. */
static _Noreturn void become(const struct start *s)
{
    static const int ours[] = {SIGINT, SIGTERM, SIGHUP}; /* our handlers must not run here */
    sigset_t none;
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
        (void)signal(ours[i], SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    (void)setpgid(0, 0); /* Ctrl-C is ours; we stop the children in order */
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != s->parent || dup2(s->out_fd, STDOUT_FILENO) < 0 ||
        dup2(s->log_fd, STDERR_FILENO) < 0)
        _exit(127);
    /* dup2 clears close-on-exec, but not onto itself. */
    if (s->keep_as > 0 && (s->keep_fd == s->keep_as ? fcntl(s->keep_fd, F_SETFD, 0)
                                                    : dup2(s->keep_fd, s->keep_as)) < 0)
        _exit(127);
    execve(s->program, s->argv, s->environment);
    _exit(127);
}

char **child_environment(const char *const *more, int count)
{
    size_t n = 0, at = 0;
    while (environ[n])
        n++;
    char **all = calloc(n + (size_t)count + 1, sizeof *all);
    if (!all)
        return NULL;
    for (int i = 0; i < count; i++)
        if (more[i])
            all[at++] = (char *)(uintptr_t)more[i];
    memcpy(all + at, environ, n * sizeof *all);
    return all;
}

static enum status open_log(const struct child_options *o, int out_fd, int *ret, struct error *err)
{
    *ret = o->log_path ? open(o->log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)
                       : fcntl(o->merge ? out_fd : STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
    if (*ret < 0)
        return error_set(err, ST_IO, "cannot write %s: %s",
                         o->log_path ? o->log_path : "standard error", strerror(errno));
    return ST_OK;
}

/* The new process's id, below 0 on failure. */
static pid_t start(const struct start *s)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = vfork();
    if (pid == 0)
        become(s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return pid;
}

enum status child_start(struct child *c, char *const *argv, const struct child_options *options,
                        struct error *err)
{
    const struct child_options o = options ? *options : (struct child_options){0};
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0)
        return error_set(err, ST_IO, "cannot make a pipe: %s", strerror(errno));
    struct start s = {.program = o.program ? o.program : "/proc/self/exe",
                      .argv = argv,
                      .environment = child_environment(o.environment, CHILD_VARIABLES_MAX),
                      .out_fd = fds[1],
                      .log_fd = -1,
                      .keep_fd = o.keep_fd,
                      .keep_as = o.keep_as,
                      .parent = getpid()};
    pid_t pid = -1;
    enum status st = s.environment ? open_log(&o, fds[1], &s.log_fd, err)
                                   : error_set(err, ST_NOMEM, "no memory to start a process");
    if (st == ST_OK)
        pid = start(&s);
    if (st == ST_OK && pid < 0)
        st = error_set(err, ST_IO, "cannot start a process: %s", strerror(errno));
    free(s.environment);
    close(fds[1]);
    if (s.log_fd >= 0)
        close(s.log_fd);
    if (st != ST_OK) {
        close(fds[0]);
        return st;
    }
    (void)fcntl(fds[0], F_SETFL, O_NONBLOCK);
    child_init(c);
    c->pid = pid;
    c->out_fd = fds[0];
    return ST_OK;
}

/* Hands out the whole lines of c->line and keeps the rest. */
static void split_lines(struct child *c, void (*on_line)(void *context, const char *line),
                        void *context)
{
    size_t from = 0;
    for (char *end; (end = memchr(c->line + from, '\n', c->filled_bytes - from));) {
        *end = '\0';
        if (!c->overlong)
            on_line(context, c->line + from);
        c->overlong = false;
        from = (size_t)(end - c->line) + 1;
    }
    c->filled_bytes -= from;
    memmove(c->line, c->line + from, c->filled_bytes);
    if (c->filled_bytes == sizeof c->line) {
        c->filled_bytes = 0;
        c->overlong = true;
    }
}

void child_read_lines(struct child *c, void (*on_line)(void *context, const char *line),
                      void *context)
{
    while (c->out_fd >= 0) {
        ssize_t n = read(c->out_fd, c->line + c->filled_bytes, sizeof c->line - c->filled_bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return; /* EAGAIN: nothing more for now */
        if (n == 0) {
            close(c->out_fd);
            c->out_fd = -1;
            return;
        }
        c->filled_bytes += (size_t)n;
        split_lines(c, on_line, context);
    }
}

bool child_runs(struct child *c)
{
    if (c->pid > 0 && waitpid(c->pid, &c->wait_status, WNOHANG) == c->pid)
        c->pid = 0;
    return c->pid > 0;
}

void child_stop(struct child *c, uint64_t grace_us,
                void (*on_line)(void *context, const char *line), void *context)
{
    if (!child_runs(c))
        return;
    kill(c->pid, SIGTERM);
    uint64_t until_us = clock_mono_us() + grace_us;
    while (child_runs(c)) {
        uint64_t now_us = clock_mono_us();
        if (now_us >= until_us) {
            kill(c->pid, SIGKILL);
            until_us = UINT64_MAX;
        }
        child_read_lines(c, on_line, context);
        clock_sleep_until_us(now_us + STOP_POLL_US);
    }
}

void child_clear(struct child *c)
{
    if (c->out_fd >= 0)
        close(c->out_fd);
    child_init(c);
}
