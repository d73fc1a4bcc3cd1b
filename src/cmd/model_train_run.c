/* model_train_run.c - the steps of a training run: progress, validation, saving, stopping. */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/progress.h"
#include "cmd/model_train.h"

struct run {
    const struct train_arguments *args;
    const struct nn_model *model;
    struct trainer *trainer;
    struct samples *validation; /* NULL: none */
    uint64_t validation_count;
    json_t *history;
    struct progress bar;
    bool header; /* of the table has been printed */
};

static volatile sig_atomic_t stop_asked;

static void on_signal(int signal_number)
{
    (void)signal_number;
    stop_asked = 1;
}

/* The first Ctrl-C asks, the second one kills. */
static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    stop_asked = 0;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

/* A word for the shell. */
static void print_word(const char *word)
{
    bool plain = *word && !word[strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                             "0123456789_./=:,+-")];
    if (plain) {
        fprintf(stderr, " %s", word);
        return;
    }
    fputs(" '", stderr);
    for (; *word; word++)
        fputs(*word == '\'' ? "'\\''" : (char[]){*word, 0}, stderr);
    fputc('\'', stderr);
}

static void say_how_to_go_on(const struct run *r)
{
    const struct train_arguments *a = r->args;
    fprintf(stderr,
            "stopped after step %llu of %llu; saved in %s, the network as it is now in %s\n"
            "to go on: attune model train",
            (unsigned long long)trainer_steps_done(r->trainer), (unsigned long long)a->train.steps,
            a->state, a->out);
    for (int i = 1; i < a->argc; i++)
        print_word(a->argv[i]);
    fprintf(stderr, "%s\n", a->resume ? "" : " --resume");
}

static enum status write_model(const struct run *r, struct error *err)
{
    struct buf bytes;
    buf_init(&bytes);
    enum status st = nn_model_write(r->model, trainer_params(r->trainer), &bytes, err);
    if (st == ST_OK)
        st = file_write(r->args->out, bytes.data, bytes.size_bytes, err);
    buf_clear(&bytes);
    return st;
}

static enum status save(const struct run *r, struct error *err)
{
    enum status st = trainer_save(r->trainer, r->args->state, err);
    return st == ST_OK ? write_model(r, err) : st;
}

static json_t *real(double v)
{
    return isnan(v) ? json_null() : json_real(v);
}

static void print_row(struct run *r, const struct trainer_step *s, double validation)
{
    const char *metric = task_score_name(r->args->task);
    if (!r->header)
        printf("%8s %8s %10s %s %12s %s\n", "step", "loss", "training", metric, "validation",
               metric);
    r->header = true;
    printf("%8llu %8.3f %13.1f%%", (unsigned long long)s->step, s->loss, 100 * s->accuracy);
    if (isnan(validation))
        printf(" %16s\n", "-");
    else
        printf(" %15.1f%%\n", 100 * validation);
    fflush(stdout);
}

static json_t *row_json(const struct run *r, const struct trainer_step *s, double validation)
{
    json_t *o =
        json_pack("{s:I, s:o, s:o, s:o}", "step", (json_int_t)s->step, "loss", real(s->loss),
                  "training_accuracy", real(s->accuracy), "validation_accuracy", real(validation));
    if (r->args->task == TASK_SEGMENT) {
        json_object_set_new(o, "training_miou", real(s->accuracy));
        json_object_set_new(o, "validation_miou", real(validation));
    }
    return o;
}

static enum status validate(struct run *r, const struct trainer_step *s, struct error *err)
{
    double score = NAN;
    enum status st = ST_OK;
    struct confusion *c = malloc(sizeof *c);
    if (!c)
        return error_set(err, ST_NOMEM, "no memory to score the network");
    if (r->validation)
        st = samples_score(r->validation, r->validation_count, r->model, trainer_params(r->trainer),
                           r->args->train.threads, c, err);
    if (st == ST_OK && r->validation)
        score = task_score(r->args->task, c);
    free(c);
    progress_clear(&r->bar);
    if (st == ST_OK && r->args->json)
        json_array_append_new(r->history, row_json(r, s, score));
    else if (st == ST_OK)
        print_row(r, s, score);
    return st;
}

static bool due(uint64_t every, uint64_t step, uint64_t last)
{
    return step % every == 0 || step == last;
}

static enum status run_steps(struct run *r, struct error *err)
{
    const struct train_arguments *a = r->args;
    struct trainer_step s = {0};
    enum status st = ST_OK;
    while (!stop_asked && (st = trainer_advance(r->trainer, &s, err)) == ST_OK) {
        char note[64];
        if (!isfinite(s.loss))
            return error_set(err, ST_INVALID,
                             "the loss is not finite after step %llu: try a lower --learning-rate",
                             (unsigned long long)s.step);
        snprintf(note, sizeof note, "loss %.3f  %s %.1f %%", s.loss, task_score_name(a->task),
                 100 * s.accuracy);
        progress_update(&r->bar, s.step, note, clock_mono_us());
        if (due(a->save_every, s.step, a->train.steps))
            st = save(r, err);
        if (st == ST_OK && due(a->validate_every, s.step, a->train.steps))
            st = validate(r, &s, err);
        if (st != ST_OK)
            return st;
    }
    return st == ST_END ? ST_OK : st;
}

/* Opens the run at its beginning, or where its state file says. */
static enum status begin(struct run *r, struct samples *samples, struct error *err)
{
    const struct train_arguments *a = r->args;
    bool there = access(a->state, F_OK) == 0;
    if (there && !a->resume)
        return error_set(err, ST_CONFLICT,
                         "%s is there, the state of a run that did not end: go on with --resume, "
                         "or delete it",
                         a->state);
    enum status st = trainer_open(r->model, &a->train, samples, &r->trainer, err);
    if (st == ST_OK && there)
        st = trainer_resume(r->trainer, a->state, err);
    if (st == ST_OK && there)
        fprintf(stderr, "going on after step %llu\n",
                (unsigned long long)trainer_steps_done(r->trainer));
    else if (st == ST_OK && a->resume)
        fprintf(stderr, "there is no %s: from the beginning\n", a->state);
    return st;
}

static enum status end(struct run *r, bool *ret_interrupted, struct error *err)
{
    const struct train_arguments *a = r->args;
    *ret_interrupted = trainer_steps_done(r->trainer) < a->train.steps;
    enum status st = *ret_interrupted ? save(r, err) : write_model(r, err);
    if (st == ST_OK && *ret_interrupted)
        say_how_to_go_on(r);
    else if (st == ST_OK && !a->state_chosen)
        unlink(a->state);
    return st;
}

enum status train_run(const struct train_arguments *a, const struct nn_model *m,
                      struct samples *samples, struct samples *validation,
                      uint64_t validation_count, json_t *history, bool *ret_interrupted,
                      struct trainer **ret, struct error *err)
{
    struct run r = {.args = a,
                    .model = m,
                    .validation = validation,
                    .validation_count = validation_count,
                    .history = history};
    enum status st = begin(&r, samples, err);
    if (st == ST_OK) {
        catch_signals();
        progress_init(&r.bar, "training", a->train.steps, false, clock_mono_us());
        st = run_steps(&r, err);
        progress_clear(&r.bar);
    }
    if (st == ST_OK)
        st = end(&r, ret_interrupted, err);
    if (st == ST_OK)
        *ret = r.trainer;
    else
        trainer_close(&r.trainer);
    return st;
}
