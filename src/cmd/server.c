/* server.c - `attune server`: settings from defaults, file and flags, then runs until a signal. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "cmd/cmd.h"
#include "server/metrics.h"
#include "server/server.h"

static void print_help(void)
{
    struct buf options;
    buf_init(&options);
    settings_write_help(&options);
    printf("usage: attune server --student FILE.onnx --teacher FILE.onnx [OPTIONS]\n\n"
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
}

static int print_markdown(void (*write)(struct buf *out))
{
    struct buf text;
    buf_init(&text);
    write(&text);
    fwrite(text.data, 1, text.size_bytes, stdout);
    buf_clear(&text);
    return CMD_OK;
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

/* pass 0: only --config; pass 1: the others, so that the command line wins. */
static int read_flags(int argc, char **argv, int pass, struct server_options *o)
{
    struct error err = {0};
    for (int i = 1; i < argc; i++) {
        char name[128];
        if (strncmp(argv[i], "--", 2) != 0)
            return cmd_usage(argv[0], "'%s' is not an option", argv[i]);
        const char *value = value_of(argc, argv, &i, name, sizeof name);
        if (!value)
            return cmd_usage(argv[0], "--%s needs a value", name);
        bool is_config = strcmp(name, "config") == 0;
        if (is_config && pass == 0 &&
            settings_open(&o->settings, &o->cameras, value, &err) != ST_OK)
            return cmd_fail(argv[0], &err);
        if (!is_config && pass == 1 && settings_set(&o->settings, name, value, &err) != ST_OK)
            return cmd_usage(argv[0], "%s", err.message);
    }
    return CMD_OK;
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

static int run(const char *name, const struct server_options *options)
{
    struct server *s;
    struct error err = {0};
    sigset_t stop;
    /* Blocked before any thread starts, so that only sigwait sees them. */
    sigemptyset(&stop);
    sigaddset(&stop, SIGINT);
    sigaddset(&stop, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &stop, NULL);
    signal(SIGPIPE, SIG_IGN);
    if (server_open(options, &s, &err) != ST_OK)
        return cmd_fail(name, &err);
    announce(s);
    int which;
    sigwait(&stop, &which);
    log_write(LOG_INFO, "stopping", "signal=%d", which);
    server_close(&s);
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
            return print_markdown(settings_write_markdown);
        if (strcmp(argv[i], "--metrics-markdown") == 0)
            return print_markdown(metrics_write_markdown);
    }
    settings_init(&options.settings);
    options.version = ATTUNE_VERSION;
    options.revision = cmd_commit();
    for (int pass = 0; pass < 2; pass++) {
        int code = read_flags(argc, argv, pass, &options);
        if (code != CMD_OK)
            return code;
    }
    enum log_level level = log_level_parse(options.settings.log_level);
    if (!level)
        return cmd_usage(argv[0], "log_level is error, warn, info or debug, not '%.40s'",
                         options.settings.log_level);
    log_level_set(level);
    log_format_set(log_format_parse(options.settings.log_format));
    struct error err = {0};
    if (settings_check(&options.settings, &options.cameras, &err) != ST_OK)
        return cmd_usage(argv[0], "%s", err.message);
    int status = run(argv[0], &options);
    camera_list_clear(&options.cameras);
    return status;
}
