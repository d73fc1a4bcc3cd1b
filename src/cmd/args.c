/* args.c - what the option parsers of the subcommands share. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/yaml.h"
#include "cmd/cmd.h"

#define OPTIONS_MAX 64 /* names that a guess is made among */

bool cmd_number(const char *command, const char *flag, const char *text, double min, double max,
                double *ret)
{
    char *end;
    double v = strtod(text, &end);
    if (end == text || *end || !(v >= min && v <= max)) {
        cmd_usage(command, "--%s takes a number from %g to %g, not '%s'", flag, min, max, text);
        return false;
    }
    *ret = v;
    return true;
}

bool cmd_whole(const char *command, const char *flag, const char *text, int min, int max, int *ret)
{
    double v;
    if (!cmd_number(command, flag, text, min, max, &v))
        return false;
    if (v != (double)(int)v) {
        cmd_usage(command, "--%s takes a whole number, not '%s'", flag, text);
        return false;
    }
    *ret = (int)v;
    return true;
}

static bool take_size(const char *command, const struct cmd_option *o, const char *text)
{
    int *size = o->to, w, h, used = 0;
    if (sscanf(text, "%dx%d%n", &w, &h, &used) != 2 || text[used] || w < o->min || h < o->min ||
        w > o->max || h > o->max) {
        cmd_usage(command, "--%s takes WIDTHxHEIGHT, each from %g to %g, not '%s'", o->name, o->min,
                  o->max, text);
        return false;
    }
    size[0] = w;
    size[1] = h;
    return true;
}

static bool take_count(const char *command, const struct cmd_option *o, const char *text)
{
    char *end;
    double v = strtod(text, &end);
    if (end == text || *end || !(v >= o->min && v <= o->max) || v != (double)(uint64_t)v) {
        cmd_usage(command, "--%s takes a whole number from %.0f on, not '%s'", o->name, o->min,
                  text);
        return false;
    }
    *(uint64_t *)o->to = (uint64_t)v;
    return true;
}

static bool take_value(const char *command, const struct cmd_option *o, const char *text)
{
    switch (o->kind) {
    case CMD_TEXT:
        *(const char **)o->to = text;
        return true;
    case CMD_WHOLE:
        return cmd_whole(command, o->name, text, (int)o->min, (int)o->max, o->to);
    case CMD_COUNT:
        return take_count(command, o, text);
    case CMD_NUMBER:
        return cmd_number(command, o->name, text, o->min, o->max, o->to);
    case CMD_SIZE:
        return take_size(command, o, text);
    default:
        return *(bool *)o->to = true;
    }
}

/* The option of "--name" or "--name=value". */
static const struct cmd_option *find_option(const struct cmd_option *options, const char *word)
{
    size_t n = strcspn(word, "=");
    for (const struct cmd_option *o = options; o->name; o++)
        if (strlen(o->name) == n && memcmp(o->name, word, n) == 0)
            return o;
    return NULL;
}

/* "--sevrer" for people: which one was meant. */
static void no_option(const char *command, const struct cmd_option *options, const char *word)
{
    const char *known[OPTIONS_MAX];
    char name[64];
    size_t count = 0;
    for (const struct cmd_option *o = options; o->name && count < OPTIONS_MAX; o++)
        known[count++] = o->name;
    snprintf(name, sizeof name, "%.*s", (int)strcspn(word + 2, "="), word + 2);
    const char *near = yaml_nearest(name, known, count);
    cmd_usage(command, "there is no option '--%s'%s%s%s", name, near ? "; did you mean '--" : "",
              near ? near : "", near ? "'?" : "");
}

/* Reads the option at argv[*i] and its value; *i moves to the last word of it. */
static bool take_option(const char *command, const struct cmd_option *options, int argc,
                        char **argv, int *i)
{
    const char *word = argv[*i] + 2, *value = strchr(word, '=');
    const struct cmd_option *o = find_option(options, word);
    if (!o) {
        no_option(command, options, argv[*i]);
        return false;
    }
    if (o->kind == CMD_FLAG && value) {
        cmd_usage(command, "--%s takes no value", o->name);
        return false;
    }
    if (o->kind != CMD_FLAG && !value && *i + 1 >= argc) {
        cmd_usage(command, "--%s needs a value", o->name);
        return false;
    }
    if (value || o->kind == CMD_FLAG)
        return take_value(command, o, value ? value + 1 : NULL);
    return take_value(command, o, argv[++*i]);
}

int cmd_parse(const char *command, const char *help, const struct cmd_option *options, int argc,
              char **argv, const char **words, int want, int more, int *ret_words)
{
    int count = 0, max = ret_words ? more : want;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            cmd_help(help);
            return CMD_OK;
        }
        if (strncmp(argv[i], "--", 2) == 0 && argv[i][2]) {
            if (!take_option(command, options, argc, argv, &i))
                return CMD_USAGE;
        } else if (argv[i][0] == '-' || count == max) {
            return cmd_usage(command, "unexpected '%s'", argv[i]);
        } else {
            words[count++] = argv[i];
        }
    }
    if (count < want)
        return cmd_usage(command, want == 1 ? "a file is needed" : "%d files are needed", want);
    if (ret_words)
        *ret_words = count;
    return -1;
}

int cmd_verb_run(const struct cmd_verb *verbs, const char **words, int count, const void *call)
{
    for (const struct cmd_verb *v = verbs; v->name && count > 0; v++)
        if (strcmp(words[0], v->name) == 0 && count == 1 + v->words)
            return v->run(call);
    return -1;
}

int cmd_sub_run(const char *command, const char *help, const struct cmd_sub *subs, int argc,
                char **argv)
{
    const char *verb = argc > 1 ? argv[1] : "", *known[OPTIONS_MAX];
    size_t count = 0;
    for (const struct cmd_sub *s = subs; s->name && count < OPTIONS_MAX; s++) {
        if (strcmp(verb, s->name) == 0)
            return s->run(argc - 1, argv + 1);
        known[count++] = s->name;
    }
    if (strcmp(verb, "--help") == 0 || strcmp(verb, "-h") == 0) {
        cmd_help(help);
        return CMD_OK;
    }
    if (!verb[0]) {
        fputs(help, stderr);
        return CMD_USAGE;
    }
    const char *near = yaml_nearest(verb, known, count);
    return cmd_usage(command, "there is no verb '%.60s'%s%s%s", verb,
                     near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}
