/* cmd.h - the subcommands of `attune`: one file each, `int cmd_NAME(int argc, char **argv)`.
 *
 * argv[0] is the subcommand's own name. The return value is the exit status:
 * 0 done, 1 it ran and the answer is no (a check failed), 2 wrong usage, 3 it could not run.
 * Only this folder prints and decides to exit.
 */
#ifndef ATTUNE_CMD_CMD_H
#define ATTUNE_CMD_CMD_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

enum { CMD_OK = 0, CMD_NO = 1, CMD_USAGE = 2, CMD_FAILED = 3 };

#define CMD_LIST(X)                                                                                \
    X(demo, "server, eight cameras and a synthetic town on this machine, three minutes")           \
    X(server, "label, retrain and stream updates to cameras; the page")                            \
    X(camera, "run a student on a live source and keep it learning")                               \
    X(config, "a settings file to begin with, what is wrong with one, what is in force")           \
    X(doctor, "what could keep a server from working here, and what to do about it")               \
    X(eval, "the whole loop over a recorded source under a virtual clock")                         \
    X(replay, "compare schedulers on measured retrainings, in virtual time")                       \
    X(status, "one look at a server: cameras, groups, accuracy, what is sent and asked for")       \
    X(top, "a server, live, on this terminal")                                                     \
    X(explain, "why cameras have the compute that they have, and learn with whom they do")         \
    X(events, "what has happened at a server, once or as it comes, as sentences or JSON lines")    \
    X(pause, "a camera keeps the version that it has, and nobody trains on its frames")            \
    X(resume, "it learns again")                                                                   \
    X(retrain, "a camera's group is trained now")                                                  \
    X(access, "codes for new cameras, tokens for scripts, and taking both back")                   \
    X(user, "who may sign in to the page")                                                         \
    X(backup, "a server's state in one file, while it runs")                                       \
    X(restore, "and back")                                                                         \
    X(profile, "measure what rates and sizes of uploaded samples cost and bring")                  \
    X(label, "the labelled samples of a server as COCO, YOLO or folders")                          \
    X(model, "inspect, train, quantize, export and compare networks")                              \
    X(synth, "render the synthetic town: video, labels, boxes")                                    \
    X(bench, "how fast this machine is, and the engine on it")                                     \
    X(completion, "what bash, zsh or fish needs to complete these commands")                       \
    X(worker, "a training process, started by the server")

#define CMD_DECLARE(name, help) int cmd_##name(int argc, char **argv);
CMD_LIST(CMD_DECLARE)
#undef CMD_DECLARE

/* Prints "attune NAME: MESSAGE" on standard error and returns CMD_FAILED. */
int cmd_fail(const char *name, const struct error *err);

/* Prints "attune NAME: MESSAGE. See attune NAME --help" and returns CMD_USAGE. */
int cmd_usage(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Prints a help text on standard output, broken at words where that is a narrower terminal. */
void cmd_help(const char *text);

/* The same of a text that was put together; clears it. */
void cmd_help_buf(struct buf *text);

/* Prints what `write` writes on standard output. Returns CMD_OK. */
int cmd_text(void (*write)(struct buf *out));

/* Prints o on standard output and drops it; NULL is "no memory". Returns CMD_OK or CMD_FAILED. */
int cmd_json(const char *name, json_t *o);

/* The whole text as a number in [min, max]; false after a message that names the flag. */
bool cmd_number(const char *command, const char *flag, const char *text, double min, double max,
                double *ret);
bool cmd_whole(const char *command, const char *flag, const char *text, int min, int max, int *ret);

/* An option of a command that is read by a table; *to holds the default. */
struct cmd_option {
    const char *name; /* without the dashes; NULL ends a table */
    enum {
        CMD_FLAG = 1, /* bool: true when given */
        CMD_TEXT,     /* const char *: borrowed from argv */
        CMD_WHOLE,    /* int in [min, max] */
        CMD_COUNT,    /* uint64_t in [min, max], at most 2^53 */
        CMD_NUMBER,   /* double in [min, max] */
        CMD_SIZE      /* int[2] from WIDTHxHEIGHT, each in [min, max] */
    } kind;
    void *to;
    double min, max;
};

/* Reads "--name value" and "--name=value" and exactly `want` other arguments into words[want]
 * (`more` of them in all may be given, *ret_words says how many; NULL: exactly want). -1: go on;
 * otherwise the exit status, after the help or a message. */
int cmd_parse(const char *command, const char *help, const struct cmd_option *options, int argc,
              char **argv, const char **words, int want, int more, int *ret_words);

/* A word that follows a command, as `list` in `attune user list`. */
struct cmd_verb {
    const char *name; /* NULL ends a table */
    int words;        /* that follow it */
    int (*run)(const void *call);
};

/* Runs the verb that words[0] names with as many others as it wants; the exit status, or -1 when
 * there is none such. */
int cmd_verb_run(const struct cmd_verb *verbs, const char **words, int count, const void *call);

/* A verb with options and a help of its own, as `export` of `attune model export`. */
struct cmd_sub {
    const char *name; /* NULL ends a table */
    int (*run)(int argc, char **argv);
};

/* Runs the verb that argv[1] names; --help, no verb and an unknown one are answered here. */
int cmd_sub_run(const char *command, const char *help, const struct cmd_sub *subs, int argc,
                char **argv);

/* The commit that this binary was built from, "unknown" outside a checkout. */
const char *cmd_commit(void);

#endif
