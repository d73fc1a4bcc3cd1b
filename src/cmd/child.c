/* child.c - fork and exec of /proc/self/exe, and the reading of lines without waiting. */
#include "cmd/child.h"

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

/* In the new process: wire it up and become the program; never returns. */
static void become(char *const *argv, int out_fd, int log_fd, pid_t parent)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    (void)setpgid(0, 0); /* Ctrl-C is ours; we stop the children in order */
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent || dup2(out_fd, STDOUT_FILENO) < 0 || dup2(log_fd, STDERR_FILENO) < 0)
        _exit(127);
    execv("/proc/self/exe", argv);
    _exit(127);
}

enum status child_start(struct child *c, char *const *argv, const char *log_path, struct error *err)
{
    int fds[2];
    int log_fd = log_path ? open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)
                          : fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
    if (log_fd < 0)
        return error_set(err, ST_IO, "cannot write %s: %s", log_path ? log_path : "standard error",
                         strerror(errno));
    if (pipe2(fds, O_CLOEXEC) != 0) {
        close(log_fd);
        return error_set(err, ST_IO, "cannot make a pipe: %s", strerror(errno));
    }
    pid_t parent = getpid(), pid = fork();
    if (pid == 0)
        become(argv, fds[1], log_fd, parent);
    close(fds[1]);
    close(log_fd);
    if (pid < 0) {
        close(fds[0]);
        return error_set(err, ST_IO, "cannot start a process: %s", strerror(errno));
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
