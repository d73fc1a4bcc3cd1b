/* top.c - `attune top`: a server, live. One thread asks the server once a second, the other draws
 * and reads keys, so that a server that is slow to answer holds nothing up. */
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/clock.h"
#include "cmd/cmd.h"
#include "cmd/explain.h"
#include "cmd/overview.h"
#include "cmd/plain.h"
#include "cmd/top_view.h"

#define NAME "top"
#define POLL_US ((uint64_t)1000000)
#define DRAW_MS 250
#define HISTORY 64
#define SERIES_MAX 32 /* cameras whose past is asked for at the start */

static const char help_text[] =
    "usage: attune top [--server URL] [OPTIONS]\n"
    "\n"
    "A server, live: its compute, a line for each camera, the last events. Keys: q quits; c, a, g, "
    "v,\n"
    "r, s, u sort by camera, accuracy, gain, version, group, share, uplink (again: the other way\n"
    "round); arrows, j, k, space and b scroll. Where the output is no terminal: one look.\n"
    "\n" FETCH_HELP "  --once         one look\n"
    "  --columns N    of one look (default: 120)\n"
    "  --file FILE    a saved answer of attune top --json instead of a server\n"
    "  --json         what it shows as one object\n";

/* ---- what the server says ---- */

struct feed {
    const struct fetch_server *server;
    pthread_mutex_t lock; /* of what follows */
    json_t *all, *history;
    struct error why; /* of the last try, "" where it succeeded */
    bool stop;
};

static void keep(json_t *history, const char *id, double accuracy)
{
    json_t *past = json_object_get(history, id);
    if (!past) {
        past = json_array();
        json_object_set_new(history, id, past);
    }
    if (isfinite(accuracy))
        json_array_append_new(past, json_real(accuracy));
    while (json_array_size(past) > HISTORY)
        json_array_remove(past, 0);
}

/* What was before this began: the newest of the camera's series. */
static void ask_past(const struct fetch_server *server, json_t *history, const char *id)
{
    char path[128];
    json_t *series, *v;
    size_t i;
    snprintf(path, sizeof path, "/v1/cameras/%.63s/series?limit=%d", id, HISTORY);
    if (fetch_json(server, path, &series, NULL) != ST_OK)
        return;
    json_array_foreach(json_object_get(series, "accuracy"), i, v)
        keep(history, id, json_is_number(v) ? json_number_value(v) : NAN);
    json_decref(series);
}

static void note_history(struct feed *f, const json_t *all, bool first)
{
    const json_t *cameras = json_object_get(all, "cameras"), *c;
    size_t i;
    json_array_foreach(cameras, i, c)
    {
        const char *id = explain_text(c, "id", "");
        if (first && i < SERIES_MAX)
            ask_past(f->server, f->history, id);
        keep(f->history, id, explain_number(c, "accuracy"));
    }
}

static enum status ask(struct feed *f, bool first, json_t **ret, struct error *err)
{
    json_t *all;
    enum status st = overview_fetch(f->server, true, &all, err);
    if (st != ST_OK)
        return st;
    plain_json(all);
    note_history(f, all, first);
    json_object_set_new(all, "history", json_deep_copy(f->history));
    json_object_set_new(all, "server", json_string(f->server->url ? f->server->url : ""));
    *ret = all;
    return ST_OK;
}

static void *run_feed(void *context)
{
    struct feed *f = context;
    for (bool stop = false; !stop;) {
        uint64_t next_us = clock_mono_us() + POLL_US;
        struct error err = {0};
        json_t *all = NULL;
        ask(f, false, &all, &err);
        pthread_mutex_lock(&f->lock);
        if (all) {
            json_decref(f->all);
            f->all = all;
        }
        plain_text(err.message);
        f->why = err;
        if (all)
            f->why.message[0] = '\0';
        pthread_mutex_unlock(&f->lock);
        do {
            clock_sleep_until_us(clock_mono_us() + 50000);
            pthread_mutex_lock(&f->lock);
            stop = f->stop;
            pthread_mutex_unlock(&f->lock);
        } while (!stop && clock_mono_us() < next_us);
    }
    return NULL;
}

/* ---- the terminal ---- */

static volatile sig_atomic_t ended;

static void on_signal(int number)
{
    (void)number;
    ended = 1;
}

static struct termios before;

static void write_out(const char *text, size_t n)
{
    while (n > 0) {
        ssize_t put = write(STDOUT_FILENO, text, n);
        if (put <= 0 && errno != EINTR)
            return;
        text += put > 0 ? put : 0;
        n -= put > 0 ? (size_t)put : 0;
    }
}

static void open_terminal(void)
{
    static const char begin[] = "\x1b[?1049h\x1b[?25l";
    struct sigaction on = {.sa_handler = on_signal};
    struct termios raw;
    sigaction(SIGINT, &on, NULL);
    sigaction(SIGTERM, &on, NULL);
    sigaction(SIGHUP, &on, NULL);
    tcgetattr(STDIN_FILENO, &before);
    raw = before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    write_out(begin, sizeof begin - 1);
}

static void close_terminal(void)
{
    static const char end[] = "\x1b[?25h\x1b[?1049l";
    write_out(end, sizeof end - 1);
    tcsetattr(STDIN_FILENO, TCSANOW, &before);
}

static void size_of_terminal(int *columns, int *rows)
{
    struct winsize w;
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0 && w.ws_row > 0;
    *columns = known ? w.ws_col : 80;
    *rows = known ? w.ws_row : 24;
}

/* The whole screen anew: line by line, with what is left of each cleared. */
static void draw(struct feed *f, struct top_view *view)
{
    struct buf text, out;
    int columns, rows;
    size_of_terminal(&columns, &rows);
    buf_init(&text);
    buf_init(&out);
    pthread_mutex_lock(&f->lock);
    top_render(f->all, view, columns, f->why.message[0] ? rows - 1 : rows, clock_wall_us(), &text);
    if (f->why.message[0])
        buf_printf(&text, "\n%.*s", columns, f->why.message);
    pthread_mutex_unlock(&f->lock);
    buf_printf(&out, "\x1b[H");
    for (size_t i = 0; i < text.size_bytes; i++) {
        if (text.data[i] == '\n')
            buf_printf(&out, "\x1b[K\r\n");
        else
            buf_put_u8(&out, text.data[i]);
    }
    buf_printf(&out, "\x1b[K\x1b[J");
    if (!out.failed && !text.failed)
        write_out((const char *)out.data, out.size_bytes);
    buf_clear(&text);
    buf_clear(&out);
}

/* False: quit. */
static bool take_keys(struct top_view *view)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    char keys[32];
    if (poll(&in, 1, DRAW_MS) <= 0)
        return true;
    ssize_t n = read(STDIN_FILENO, keys, sizeof keys);
    if (n <= 0)
        return false;
    for (ssize_t i = 0; i < n; i++) {
        if (keys[i] == 'q')
            return false;
        bool arrow = keys[i] == '\x1b' && i + 2 < n && keys[i + 1] == '[';
        char key = arrow ? keys[i + 2] : keys[i];
        i += arrow ? 2 : 0;
        if (arrow ? key == 'A' : key == 'k')
            view->scroll--;
        else if (arrow ? key == 'B' : key == 'j')
            view->scroll++;
        else if (arrow ? key == '6' : key == ' ')
            view->scroll += 10;
        else if (arrow ? key == '5' : key == 'b')
            view->scroll -= 10;
        else if (!arrow)
            top_sort_key(view, key);
    }
    return true;
}

/* The first answer comes before the screen is taken: a password is asked for, or an address turns
 * out to be wrong. */
static int run_live(struct feed *f, struct top_view *view)
{
    pthread_t thread;
    struct error err;
    if (ask(f, true, &f->all, &err) != ST_OK)
        return cmd_fail(NAME, &err);
    if (pthread_create(&thread, NULL, run_feed, f) != 0) {
        error_set(&err, ST_NOMEM, "cannot start a thread");
        return cmd_fail(NAME, &err);
    }
    open_terminal();
    while (!ended) {
        draw(f, view);
        if (!take_keys(view))
            break;
    }
    close_terminal();
    pthread_mutex_lock(&f->lock);
    f->stop = true;
    pthread_mutex_unlock(&f->lock);
    pthread_join(thread, NULL);
    return CMD_OK;
}

/* ---- one look ---- */

static int look_once(json_t *all, struct top_view *view, int columns)
{
    struct buf text;
    int cameras = (int)json_array_size(json_object_get(all, "cameras"));
    buf_init(&text);
    /* All cameras, and a quarter of the lines for events. */
    top_render(all, view, columns, (cameras + 4) * 4 / 3 + 4, clock_wall_us(), &text);
    fwrite(text.data, 1, text.size_bytes, stdout);
    putchar('\n');
    buf_clear(&text);
    json_decref(all);
    return CMD_OK;
}

int cmd_top(int argc, char **argv)
{
    struct fetch_server server = FETCH_SERVER_INIT;
    const char *file = NULL, *no_color = getenv("NO_COLOR");
    bool once = false, json = false;
    int columns = 120;
    const struct cmd_option options[] = {
        FETCH_OPTIONS(server),           {"once", CMD_FLAG, &once, 0, 0},
        {"json", CMD_FLAG, &json, 0, 0}, {"columns", CMD_WHOLE, &columns, 20, 1000},
        {"file", CMD_TEXT, &file, 0, 0}, {NULL, 0, NULL, 0, 0}};
    int bad = cmd_parse(NAME, help_text, options, argc, argv, NULL, 0, 0, NULL);
    if (bad != -1)
        return bad;
    bool terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    struct feed f = {.server = &server, .history = json_object()};
    struct top_view view = {.color = false};
    struct error err;
    pthread_mutex_init(&f.lock, NULL);
    int status;
    if (terminal && !once && !json && !file) {
        view.color = !no_color || !no_color[0];
        status = run_live(&f, &view);
    } else {
        json_t *all;
        enum status st = file ? fetch_saved(file, &all, &err) : ask(&f, true, &all, &err);
        if (st == ST_OK)
            plain_json(all);
        status = st != ST_OK ? cmd_fail(NAME, &err)
                 : json      ? cmd_json(NAME, all)
                             : look_once(all, &view, columns);
    }
    json_decref(f.all);
    json_decref(f.history);
    pthread_mutex_destroy(&f.lock);
    return status;
}
