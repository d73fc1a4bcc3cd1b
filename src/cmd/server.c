/* server.c - `attune server`: settings from defaults, file and flags, then runs until a signal. */
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/notify.h"
#include "cmd/cmd.h"
#include "server/metrics.h"
#include "server/server.h"

#define WATCH_US ((uint64_t)2 * 1000000)  /* looks at the files of its settings */
#define ARENAS 2                          /* of malloc */
#define STALL_US ((uint64_t)60 * 1000000) /* without a watchdog: only logged */

static void print_help(void)
{
    struct buf options, text;
    buf_init(&options);
    buf_init(&text);
    settings_write_help(&options);
    buf_printf(
        &text,
        "usage: attune server --student FILE.onnx --teacher FILE.onnx [OPTIONS]\n\n"
        "Labels the frames that cameras upload with the teacher, retrains the student for each\n"
        "camera and streams the weights that matter back. The page is at / of each address.\n\n"
        "  --config FILE        YAML file with the same settings (name: value),\n"
        "                       and of cameras that only stream (docs/configuration.md)\n"
        "  --settings-markdown  print docs/configuration.md\n"
        "  --metrics-markdown   print docs/metrics.md\n%.*s\n"
        "example: attune server --student models/student.onnx --teacher models/teacher.onnx \\\n"
        "             --http 127.0.0.1:8080\n",
        (int)options.size_bytes, (const char *)options.data);
    buf_clear(&options);
    cmd_help_buf(&text);
}

/* The value of argv[*i]: after '=' or the next argument. NULL when there is none. */
static const char *value_of(int argc, char **argv, int *i, char *name, size_t size_bytes)
{
    const char *flag = argv[*i] + 2, *equals = strchr(flag, '=');
    int n = equals ? (int)(equals - flag) : (int)strlen(flag);
    snprintf(name, size_bytes, "%.*s", n, flag);
    if (equals)
        return equals + 1;
    return *i + 1 < argc ? argv[++*i] : NULL;
}

/* --config and the settings, in the order of the command line; flags has room for argc. */
static int read_flags(int argc, char **argv, struct setting_flag *flags,
                      struct settings_sources *from)
{
    for (int i = 1; i < argc; i++) {
        char name[128];
        if (strncmp(argv[i], "--", 2) != 0)
            return cmd_usage(argv[0], "'%s' is not an option", argv[i]);
        char *flag = argv[i] + 2;
        const char *value = value_of(argc, argv, &i, name, sizeof name);
        if (!value)
            return cmd_usage(argv[0], "--%s needs a value", name);
        flag[strcspn(flag, "=")] = '\0';
        if (strcmp(name, "config") == 0)
            from->path = value;
        else
            flags[from->flag_count++] = (struct setting_flag){flag, value};
    }
    from->flags = flags;
    return CMD_OK;
}

/* All that is wrong or unwise, a line each. */
static int load(const char *name, struct server_options *o)
{
    static struct problems problems;
    struct error err;
    problems_init(&problems);
    enum status st = settings_load(&o->sources, &o->settings, &o->cameras, &problems, &err);
    for (int i = 0; i < problems.count; i++)
        fprintf(stderr, "attune %s: %s%s\n", name, problems.items[i].warning ? "warning: " : "",
                problems.items[i].text);
    if (st == ST_NOMEM)
        return cmd_fail(name, &err);
    if (st != ST_OK)
        fprintf(stderr, "attune %s: nothing was started. See attune %s --help, attune config\n",
                name, name);
    return st == ST_OK ? CMD_OK : CMD_USAGE;
}

static void announce(const struct server *s)
{
    if (server_https_port(s))
        printf("attune server: https port %d, certificate %s\n", server_https_port(s),
               server_certificate_hex(s));
    if (server_http_port(s))
        printf("attune server: http port %d\n", server_http_port(s));
    fflush(stdout);
}

/* Tells the service manager that the server goes on, while its loops go round. */
static void tell(const struct server *s, const struct notify *notify, bool ready)
{
    char text[256];
    uint64_t limit_us = notify->watchdog_us > 0 ? notify->watchdog_us : STALL_US;
    const char *loop = server_stalled(s, clock_mono_us(), limit_us);
    server_sum_up(s, text, sizeof text);
    if (loop)
        log_write(LOG_ERROR, "stalled", "loop=%s", loop);
    else
        notify_send(notify, "%sWATCHDOG=1\nSTATUS=%s", ready ? "READY=1\n" : "", text);
}

/* The server says itself what came of it. */
static void reload(struct server *s, const struct notify *notify)
{
    struct error err;
    notify_reloading(notify);
    server_reload(s, &err);
    tell(s, notify, true);
}

/* Until a signal that ends it, which is returned; SIGHUP reads the settings again. */
static int look_after(struct server *s, const sigset_t *signals, const struct notify *notify)
{
    uint64_t period_us = notify_period_us(notify);
    if (period_us > WATCH_US)
        period_us = WATCH_US;
    const struct timespec period = {.tv_sec = (time_t)(period_us / 1000000),
                                    .tv_nsec = (long)(period_us % 1000000) * 1000};
    tell(s, notify, true);
    for (;;) {
        int which = sigtimedwait(signals, NULL, &period);
        if (which == SIGHUP)
            reload(s, notify);
        else if (which > 0)
            return which;
        server_watch(s);
        tell(s, notify, false);
    }
}

/* Dozens of threads that allocate little and seldom: glibc would give each an arena, and each arena
 * keeps the most that it ever held. */
static void bound_arenas(void)
{
#ifdef M_ARENA_MAX
    mallopt(M_ARENA_MAX, ARENAS);
#endif
}

static int run(const char *name, const struct server_options *options)
{
    struct server *s;
    struct error err = {0};
    struct notify notify;
    sigset_t stop;
    bound_arenas();
    notify_open(&notify);
    /* Blocked before any thread starts, so that only this one sees them. */
    sigemptyset(&stop);
    sigaddset(&stop, SIGINT);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &stop, NULL);
    signal(SIGPIPE, SIG_IGN);
    if (server_open(options, &s, &err) != ST_OK)
        return cmd_fail(name, &err);
    announce(s);
    int which = look_after(s, &stop, &notify);
    log_write(LOG_INFO, "stopping", "signal=%d", which);
    notify_send(&notify, "STOPPING=1");
    server_close(&s);
    notify_close(&notify);
    return CMD_OK;
}

int cmd_server(int argc, char **argv)
{
    static struct server_options options;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            print_help();
            return CMD_OK;
        }
        if (strcmp(argv[i], "--settings-markdown") == 0)
            return cmd_text(settings_write_markdown);
        if (strcmp(argv[i], "--metrics-markdown") == 0)
            return cmd_text(metrics_write_markdown);
    }
    struct setting_flag *flags = calloc((size_t)argc, sizeof *flags);
    if (!flags)
        return cmd_fail(argv[0], &(struct error){.message = "no memory"});
    options.version = ATTUNE_VERSION;
    options.revision = cmd_commit();
    options.sources.environment = (const char *const *)environ;
    int status = read_flags(argc, argv, flags, &options.sources);
    if (status == CMD_OK)
        status = load(argv[0], &options);
    if (status == CMD_OK) {
        log_level_set(log_level_parse(options.settings.log_level));
        log_format_set(log_format_parse(options.settings.log_format));
        status = run(argv[0], &options);
    }
    camera_list_clear(&options.cameras);
    free(flags);
    return status;
}
