/* password.c - see password.h. */
#include "cmd/password.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

bool password_line(FILE *from, char *ret, size_t size_bytes)
{
    if (!fgets(ret, (int)size_bytes, from))
        return false;
    size_t n = strcspn(ret, "\r\n");
    bool whole = ret[n] || feof(from);
    ret[n] = '\0';
    return whole;
}

/* Ends the wait only, so that the terminal gets its echo back. */
static void on_signal(int number)
{
    (void)number;
}

/* A line, or false after an interrupt, which nothing else can come before. */
static bool await_line(FILE *terminal, const char *prompt, char ret[PASSWORD_BYTES])
{
    struct sigaction ends = {.sa_handler = on_signal}, before;
    struct pollfd in = {.fd = fileno(terminal), .events = POLLIN};
    sigset_t interrupt, mask;
    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    sigprocmask(SIG_BLOCK, &interrupt, &mask);
    sigaction(SIGINT, &ends, &before);
    fputs(prompt, terminal);
    fflush(terminal);
    bool good = ppoll(&in, 1, NULL, &mask) == 1 && password_line(terminal, ret, PASSWORD_BYTES);
    sigaction(SIGINT, &before, NULL);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    return good;
}

static bool ask_once(FILE *terminal, const char *prompt, char ret[PASSWORD_BYTES])
{
    struct termios before, silent;
    int fd = fileno(terminal);
    if (tcgetattr(fd, &before) != 0)
        return false;
    silent = before;
    silent.c_lflag &= ~(tcflag_t)ECHO;
    tcsetattr(fd, TCSAFLUSH, &silent); /* before the prompt: what is typed then counts */
    bool good = await_line(terminal, prompt, ret);
    tcsetattr(fd, TCSAFLUSH, &before);
    fputs("\n", terminal);
    return good;
}

static enum status from_terminal(const char *prompt, bool twice, char ret[PASSWORD_BYTES],
                                 struct error *err)
{
    char again[PASSWORD_BYTES];
    FILE *terminal = fopen("/dev/tty", "r+e");
    if (!terminal)
        return error_set(err, ST_UNSUPPORTED,
                         "there is no terminal to ask for a password: give --password-file FILE");
    bool good = ask_once(terminal, prompt, ret) && (!twice || ask_once(terminal, "again: ", again));
    fclose(terminal);
    if (!good)
        return error_set(err, ST_INVALID, "no password was given");
    if (twice && strcmp(ret, again) != 0)
        return error_set(err, ST_INVALID, "the two passwords are not the same");
    return ST_OK;
}

enum status password_get(const char *prompt, bool twice, const char *file, char ret[PASSWORD_BYTES],
                         struct error *err)
{
    if (!file)
        return from_terminal(prompt, twice, ret, err);
    FILE *from = strcmp(file, "-") == 0 ? stdin : fopen(file, "re");
    if (!from)
        return error_set(err, ST_IO, "cannot read %s: %s", file, strerror(errno));
    bool good = password_line(from, ret, PASSWORD_BYTES);
    if (from != stdin)
        fclose(from);
    return good ? ST_OK
                : error_set(err, ST_INVALID,
                            "%s holds no password (its first line, at most %d "
                            "characters)",
                            file, PASSWORD_CHARS_MAX);
}
