/* model_train.c - `attune model train`: its arguments, its network and its samples. */
#include "cmd/model_train.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/model.h"
#include "task/class_list.h"
#include "train/folder_samples.h"
#include "train/town_samples.h"

static const char help[] =
    "usage: attune model train (--model FILE.onnx | --network student|teacher) --out FILE.onnx "
    "[OPTIONS]\n\n"
    "Trains a network on labelled pictures or on the synthetic town, and writes it as ONNX.\n"
    " Its score on pictures that it does not train on is printed as it goes. Ctrl-C saves "
    "and\n"
    "says how to go on; a run that went on ends with the same bytes as one that never stopped.\n\n"
    "what to train\n"
    "  --model FILE        an ONNX file: training begins with its weights\n"
    "  --network KIND      from nothing: student (for a camera) or teacher (ten times its "
    "parameters)\n"
    "  --task TASK         of the network: segment (default; student 0.2 M parameters), classify\n"
    "                      (0.04 M) or detect (0.2 M; of the town alone)\n"
    "  --classes A,B,...   with --network and --data: names of the classes, in order\n"
    "  --size WxH          of its input, for --network multiples of 16, default 320x192, 32x32 to\n"
    "                      classify\n"
    "  --batch-norm MODE   frozen: running statistics are used and stay (default with --model);\n"
    "                      batch: they follow the pictures (default with --network)\n"
    "on what\n"
    "  --data DIR          NAME.jpg or NAME.png with NAME_label.png beside it, whose gray value "
    "is\n"
    "                      the class, 255 for none; to classify: a folder of pictures for each\n"
    "                      class; without --data: the synthetic town, or what is in its boxes\n"
    "  --labels DIR|FILE   where the NAME_label.png are, when they are not beside the pictures; "
    "to\n"
    "                      classify: a CSV file, its lines \"file,class\" (docs/formats.md)\n"
    "  --class-map FILE    from the network's classes to the labels (docs/formats.md)\n"
    "  --validation X      share of the pictures held back, default 0.1, or a folder of its own\n"
    "  --conditions SET    of the town: clear (default for the student) or all (for the teacher)\n"
    "how\n"
    "  --steps N           optimiser steps, default 1000\n"
    "  --batch N           pictures a step, default 8\n"
    "  --learning-rate X   highest rate of Adam, default 0.002, with --model 0.0005; warm-up, then "
    "a\n"
    "                      half cosine\n"
    "  --color-jitter X    0 to 1: pictures of cameras with other exposure and colours, default 0\n"
    "  --precision P       f32, or bf16 (activations, not weights), the default where the\n"
    "                      processor has it\n"
    "  --seed N            initial weights and everything drawn, default 1\n"
    "  --threads N         default 1; another number gives other rounding\n"
    "  --out FILE          the ONNX file to write; also at every save\n"
    "  --checkpoint FILE   the state, saved every --save-every steps (default 250), default\n"
    "                      OUT.state, which is removed at the end\n"
    "  --resume            go on from the state where there is one\n"
    "  --validate-every N  steps between two scores, default a tenth of all\n"
    "  --validation-frames N   scored then, at most, default 200; of the town 24, or 42 with all\n"
    "and then\n"
    "  --frames N          of the town, scored in each condition at the end, default 48; to\n"
    "                      classify, eight crops of each\n"
    "  --score FILE.onnx   train nothing: score this network\n"
    "  --json              scores as JSON on standard output\n\n"
    "exit status: 0 trained, 1 interrupted and saved\n\n"
    "example: attune model train --network student --steps 3000 --out student.onnx\n"
    "         attune model train --task classify --network student --data daynight --out s.onnx\n"
    "         attune model train --model student.onnx --data pictures --out mine.onnx\n";

static const char *const town_trained_on[] = {"attune's synthetic town, clear days only",
                                              "attune's synthetic town, all conditions"};

/* Texts that become something else. */
struct texts {
    const char *network, *task, *classes, *batch_norm, *validation, *state, *precision;
    double learning_rate, color_jitter;
};

static bool take_validation(struct train_arguments *a, const char *text)
{
    struct stat info;
    a->validation = 0.1;
    if (!text)
        return true;
    if (stat(text, &info) == 0 && S_ISDIR(info.st_mode)) {
        a->validation_dir = text;
        a->validation = 0;
        return true;
    }
    return cmd_number(TRAIN_NAME, "validation", text, 0, 0.9, &a->validation);
}

/* Names between commas, in place. */
static bool take_classes(struct train_arguments *a, const char *text)
{
    static char storage[CLASSES_MAX * (CLASS_NAME_CHARS_MAX + 1)];
    static const char *names[CLASSES_MAX];
    int count = 0;
    if (strlen(text) >= sizeof storage)
        return cmd_usage(TRAIN_NAME, "--classes is too long"), false;
    memcpy(storage, text, strlen(text) + 1);
    for (char *at = storage; at; count++) {
        char *comma = strchr(at, ',');
        size_t n = comma ? (size_t)(comma - at) : strlen(at);
        if (!n || n > CLASS_NAME_CHARS_MAX || count == CLASSES_MAX) {
            cmd_usage(TRAIN_NAME, "--classes takes 2 to %d names of 1 to %d characters",
                      CLASSES_MAX, CLASS_NAME_CHARS_MAX);
            return false;
        }
        names[count] = at;
        at[n] = '\0';
        at = comma ? comma + 1 : NULL;
    }
    a->net.class_count = count;
    a->net.class_names = names;
    return count >= 2 || (cmd_usage(TRAIN_NAME, "--classes takes 2 names or more"), false);
}

static bool take_task(struct train_arguments *a, const struct texts *t)
{
    a->net.task = t->task ? task_parse(t->task) : TASK_SEGMENT;
    if (!a->net.task) {
        cmd_usage(TRAIN_NAME, "--task is segment, classify or detect, not '%s'", t->task);
        return false;
    }
    bool folders = a->net.task == TASK_CLASSIFY && a->data && !t->classes;
    if (!folders && (a->data != NULL) != (t->classes != NULL)) {
        cmd_usage(TRAIN_NAME, "--classes goes with --data and --network");
        return false;
    }
    bool classify = a->net.task == TASK_CLASSIFY;
    const struct town_classes *town = town_classes_of(a->net.task);
    a->net.width = a->size[0] ? a->size[0] : classify ? 32 : 320;
    a->net.height = a->size[1] ? a->size[1] : classify ? 32 : 192;
    a->net.class_count = town->count;
    a->net.class_names = town->names;
    if (folders)
        a->net.class_count = 0; /* name_classes */
    return true;
}

static bool take_network(struct train_arguments *a, const struct texts *t)
{
    a->net.kind = net_parse(t->network);
    if (!a->net.kind) {
        cmd_usage(TRAIN_NAME, "--network is student or teacher, not '%s'", t->network);
        return false;
    }
    if (a->size[0] % NET_SIZE_MULTIPLE || a->size[1] % NET_SIZE_MULTIPLE) {
        cmd_usage(TRAIN_NAME, "--size takes multiples of %d with --network", NET_SIZE_MULTIPLE);
        return false;
    }
    if (!take_task(a, t))
        return false;
    a->net.seed = a->train.seed;
    a->net.trained_on =
        a->data ? "labelled pictures" : town_trained_on[strcmp(a->conditions, "all") == 0];
    return !t->classes || take_classes(a, t->classes);
}

static bool take_batch_norm(struct train_arguments *a, const char *text)
{
    if (text && strcmp(text, "frozen") != 0 && strcmp(text, "batch") != 0) {
        cmd_usage(TRAIN_NAME, "--batch-norm is frozen or batch, not '%s'", text);
        return false;
    }
    bool frozen = text ? strcmp(text, "frozen") == 0 : a->model != NULL;
    a->train.bn_mode = frozen ? NN_BN_FROZEN : NN_BN_BATCH;
    return true;
}

static bool take_precision(struct train_arguments *a, const char *text)
{
    if (text && strcmp(text, "f32") != 0 && strcmp(text, "bf16") != 0) {
        cmd_usage(TRAIN_NAME, "--precision is f32 or bf16, not '%s'", text);
        return false;
    }
    if (text)
        a->train.precision = strcmp(text, "bf16") == 0 ? NN_PRECISION_BF16 : NN_PRECISION_F32;
    return true;
}

static bool take_conditions(struct train_arguments *a, const char *network)
{
    if (!a->conditions)
        a->conditions = network && strcmp(network, "teacher") == 0 ? "all" : "clear";
    if (strcmp(a->conditions, "clear") == 0 || strcmp(a->conditions, "all") == 0)
        return true;
    cmd_usage(TRAIN_NAME, "--conditions is clear or all, not '%s'", a->conditions);
    return false;
}

/* What the options say together. */
static bool settle(struct train_arguments *a, const struct texts *t)
{
    a->train.learning_rate = t->learning_rate > 0 ? (float)t->learning_rate
                             : a->model           ? 5e-4f
                                                  : a->train.learning_rate;
    a->train.color_jitter = (float)t->color_jitter;
    if (!a->validate_every)
        a->validate_every = a->train.steps / 10 ? a->train.steps / 10 : 1;
    if (!take_conditions(a, t->network) || !take_batch_norm(a, t->batch_norm) ||
        !take_precision(a, t->precision) || !take_validation(a, t->validation))
        return false;
    if (a->score)
        return true;
    if (t->task && !t->network) {
        cmd_usage(TRAIN_NAME, "--task goes with --network; a --model says its own");
        return false;
    }
    if (!a->out || !a->model == !t->network) {
        cmd_usage(TRAIN_NAME, "--out and one of --model and --network are needed");
        return false;
    }
    return a->model || take_network(a, t);
}

static int parse(struct train_arguments *a, struct texts *t, int argc, char **argv)
{
    const struct cmd_option options[] = {
        {"model", CMD_TEXT, &a->model, 0, 0},
        {"network", CMD_TEXT, &t->network, 0, 0},
        {"task", CMD_TEXT, &t->task, 0, 0},
        {"classes", CMD_TEXT, &t->classes, 0, 0},
        {"size", CMD_SIZE, a->size, 16, 4096},
        {"batch-norm", CMD_TEXT, &t->batch_norm, 0, 0},
        {"data", CMD_TEXT, &a->data, 0, 0},
        {"labels", CMD_TEXT, &a->labels, 0, 0},
        {"class-map", CMD_TEXT, &a->class_map, 0, 0},
        {"validation", CMD_TEXT, &t->validation, 0, 0},
        {"conditions", CMD_TEXT, &a->conditions, 0, 0},
        {"steps", CMD_COUNT, &a->train.steps, 1, TRAINER_STEPS_MAX},
        {"batch", CMD_WHOLE, &a->train.batch, 1, TRAINER_BATCH_MAX},
        {"learning-rate", CMD_NUMBER, &t->learning_rate, 1e-6, 0.5},
        {"precision", CMD_TEXT, &t->precision, 0, 0},
        {"color-jitter", CMD_NUMBER, &t->color_jitter, 0, 1},
        {"seed", CMD_COUNT, &a->train.seed, 0, 9e15},
        {"threads", CMD_WHOLE, &a->train.threads, 1, 256},
        {"out", CMD_TEXT, &a->out, 0, 0},
        {"checkpoint", CMD_TEXT, &t->state, 0, 0},
        {"save-every", CMD_COUNT, &a->save_every, 1, TRAINER_STEPS_MAX},
        {"resume", CMD_FLAG, &a->resume, 0, 0},
        {"validate-every", CMD_COUNT, &a->validate_every, 1, TRAINER_STEPS_MAX},
        {"validation-frames", CMD_WHOLE, &a->validation_frames, 1, 100000},
        {"frames", CMD_WHOLE, &a->frames, 1, 100000},
        {"score", CMD_TEXT, &a->score, 0, 0},
        {"json", CMD_FLAG, &a->json, 0, 0},
        {0}};
    trainer_options_init(&a->train);
    a->save_every = 250;
    a->frames = 48;
    a->argc = argc;
    a->argv = argv;
    int code = cmd_parse(TRAIN_NAME, help, options, argc, argv, NULL, 0, 0, NULL);
    if (code >= 0)
        return code;
    return settle(a, t) ? -1 : CMD_USAGE;
}

/* Said before hours are spent: the folder of the output is there and can be written to, and the
 * output is not the file that training begins with, which a resumed run has to read again. */
static enum status check_output(const struct train_arguments *a, struct error *err)
{
    char path[PATH_MAX];
    struct stat from, to;
    if ((size_t)snprintf(path, sizeof path, "%s", a->out) >= sizeof path)
        return error_set(err, ST_LIMIT, "the path %s is too long", a->out);
    const char *dir = dirname(path);
    if (access(dir, W_OK | X_OK) != 0)
        return error_set(err, ST_IO, "cannot write to %s: %s", dir, strerror(errno));
    if (stat(a->out, &to) != 0)
        return ST_OK;
    if (S_ISDIR(to.st_mode))
        return error_set(err, ST_INVALID, "%s is a folder; --out names a file", a->out);
    if (a->model && stat(a->model, &from) == 0 && from.st_dev == to.st_dev &&
        from.st_ino == to.st_ino)
        return error_set(err, ST_INVALID, "--out is the file that --model reads: name another");
    return ST_OK;
}

static enum status name_state(struct train_arguments *a, const char *chosen, struct error *err)
{
    struct buf name;
    buf_init(&name);
    buf_printf(&name, chosen ? "%s" : "%s.state", chosen ? chosen : a->out);
    if (name.failed)
        return error_set(err, ST_NOMEM, "no memory for a name");
    a->state = (char *)name.data;
    a->state_chosen = chosen != NULL;
    return ST_OK;
}

/* Of a classification from nothing: the classes are those of the folder. */
static enum status name_classes(struct train_arguments *a, struct error *err)
{
    static char storage[CLASSES_MAX][CLASS_NAME_CHARS_MAX + 1];
    static const char *names[CLASSES_MAX];
    if (!a->net.kind || a->net.class_count)
        return ST_OK;
    struct class_list list;
    enum status st = class_list_read(a->data, a->labels, &list, err);
    if (st != ST_OK)
        return st;
    memcpy(storage, list.class_name, sizeof storage);
    for (int k = 0; k < list.class_count; k++)
        names[k] = storage[k];
    a->net.class_count = list.class_count;
    a->net.class_names = names;
    class_list_clear(&list);
    return ST_OK;
}

static enum status open_model(const struct train_arguments *a, struct nn_model **ret,
                              struct error *err)
{
    const char *path = a->score ? a->score : a->model;
    struct nn_model_options o = cmd_model_options(a->size);
    if (path)
        return nn_model_open(path, &o, ret, err);
    struct buf bytes;
    buf_init(&bytes);
    enum status st = net_build(&a->net, &bytes, err);
    if (st == ST_OK)
        st = nn_model_read(bytes.data, bytes.size_bytes, NULL, ret, err);
    buf_clear(&bytes);
    return st;
}

struct job {
    struct task_spec spec;
    struct samples *training, *validation;
    uint64_t validation_count;
};

static enum status open_town(const struct train_arguments *a, struct job *j, struct error *err)
{
    bool all = strcmp(a->conditions, "all") == 0;
    int trials = all ? TOWN_TRIAL_COUNT : 1;
    int frames = TOWN_TRIAL_FRAMES * (all ? TOWN_TRIAL_COUNT : 4);
    enum status st = town_samples_open(&j->spec, a->conditions, a->train.seed, &j->training, err);
    if (st == ST_OK)
        st = town_trial_samples_open(&j->spec, town_trials, trials, &j->validation, err);
    j->validation_count = (uint64_t)(a->validation_frames ? a->validation_frames : frames) *
                          town_samples_a_view(&j->spec);
    return st;
}

static enum status open_folder(const struct train_arguments *a, struct job *j, struct error *err)
{
    struct folder_samples_options o = {.dir = a->data,
                                       .labels = a->labels,
                                       .class_map = a->class_map,
                                       .part = a->validation > 0 ? FOLDER_TRAINING : FOLDER_ALL,
                                       .validation = a->validation,
                                       .shuffle = true,
                                       .seed = a->train.seed};
    enum status st = ST_OK;
    if (!a->score)
        st = folder_samples_open(&o, &j->spec, &j->training, err);
    if (st != ST_OK || (!a->score && !a->validation_dir && a->validation <= 0))
        return st;
    o.shuffle = false;
    o.part = a->score || a->validation_dir ? FOLDER_ALL : FOLDER_VALIDATION;
    o.dir = a->validation_dir && !a->score ? a->validation_dir : a->data;
    st = folder_samples_open(&o, &j->spec, &j->validation, err);
    if (st != ST_OK)
        return st;
    uint64_t max = a->validation_frames ? (uint64_t)a->validation_frames : 200;
    j->validation_count = j->validation->count < max ? j->validation->count : max;
    if (folder_samples_unlabelled(j->validation))
        fprintf(stderr, "%llu pictures without labels are left out\n",
                (unsigned long long)folder_samples_unlabelled(j->validation));
    return ST_OK;
}

static enum status open_job(const struct train_arguments *a, const struct nn_model *m,
                            struct job *j, struct error *err)
{
    if (!a->data) {
        enum status st = town_spec_read(m, &j->spec, err);
        return st == ST_OK && !a->score ? open_town(a, j, err) : st;
    }
    enum status st = task_spec_read(m, &j->spec, err);
    return st == ST_OK ? open_folder(a, j, err) : st;
}

/* Trains and scores, or only scores. */
static enum status work(const struct train_arguments *a, const struct nn_model *m, struct job *j,
                        json_t *answer, bool *interrupted, struct error *err)
{
    struct trainer *t = NULL;
    struct train_scores scores = {a, m, a->data ? j->validation : NULL,
                                  json_object_get(answer, "scores")};
    enum status st = ST_OK;
    if (!a->score)
        st = train_run(a, m, j->training, j->validation, j->validation_count,
                       json_object_get(answer, "history"), interrupted, &t, err);
    if (st == ST_OK && !*interrupted)
        st = train_report(&scores, t ? trainer_params(t) : NULL, err);
    if (st == ST_OK && t)
        json_object_set_new(answer, "steps", json_integer((json_int_t)trainer_steps_done(t)));
    trainer_close(&t);
    return st;
}

static int run(struct train_arguments *a, const char *state)
{
    struct error err = {0};
    struct nn_model *m = NULL;
    struct job j = {.training = NULL};
    bool interrupted = false;
    json_t *answer = json_pack("{s:[], s:[]}", "history", "scores");
    enum status st = answer ? ST_OK : error_set(&err, ST_NOMEM, "no memory");
    if (st == ST_OK && !a->score)
        st = check_output(a, &err);
    if (st == ST_OK && !a->score)
        st = name_state(a, state, &err);
    if (st == ST_OK)
        st = name_classes(a, &err);
    if (st == ST_OK)
        st = open_model(a, &m, &err);
    if (st == ST_OK)
        st = open_job(a, m, &j, &err);
    a->task = j.spec.task;
    if (st == ST_OK)
        st = work(a, m, &j, answer, &interrupted, &err);
    samples_close(&j.training);
    samples_close(&j.validation);
    nn_model_close(&m);
    free(a->state);
    int code = st != ST_OK ? cmd_fail(TRAIN_NAME, &err) : interrupted ? CMD_NO : CMD_OK;
    if (st == ST_OK && a->json && cmd_json(TRAIN_NAME, json_incref(answer)) != CMD_OK)
        code = CMD_FAILED;
    json_decref(answer);
    return code;
}

int cmd_model_train(int argc, char **argv)
{
    struct train_arguments a = {.out = NULL};
    struct texts t = {.network = NULL};
    int code = parse(&a, &t, argc, argv);
    return code >= 0 ? code : run(&a, t.state);
}
