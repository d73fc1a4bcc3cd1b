/* What signatures and the grouper make of real stills whose conditions are known.
 *   bench_group_stills STUDENT.onnx TEACHER.onnx FOLDER [SIGNATURES.csv]
 * FOLDER holds pictures (or a folder of them for each site) and index.csv (still_index.h). Without
 * the folder there is nothing to do, and the program says so. Signatures are the student's (classes
 * and confidence) and the picture's; accuracy is the part of the pixels in which the student agrees
 * with the teacher.
 *
 * SIGNATURES.csv keeps what the networks said: it is written, or read where it is there.
 *
 * Told: distances of signatures between stills of the same or other cameras and conditions; which
 * stills the grouper puts together, each taken as a camera whose world has just changed (history:
 * after the camera had been looked at in all its stills), pairwise against site and day or night;
 * and whether the zoo, filled in order of time, names models of the same conditions. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/csv.h"
#include "drift/signature.h"
#include "edge/student.h"
#include "group/group.h"
#include "group/pairs.h"
#include "still_index.h"
#include "video/source.h"

#define CELLS_MAX 4096
#define SITE_M 2000
#define SECOND_US ((uint64_t)1000000)

struct still {
    const char *file, *camera, *site, *conditions; /* of the index */
    double lat, lon;
    uint64_t time_us;              /* 0: not known */
    struct signature looks, usual; /* mean of the camera's */
    int usual_of;                  /* that many stills */
    double agreement;
    bool seen;
};

struct study {
    struct still_index index;
    struct still *stills;
    int count;
};

static int fail(const struct error *err)
{
    fprintf(stderr, "bench_group_stills: %s\n", err->message);
    return 1;
}

/* ---- Reading ---- */

static enum status read_index(const char *folder, struct study *s, struct error *err)
{
    enum status st = still_index_open(folder, &s->index, err);
    if (st != ST_OK)
        return st;
    s->stills = calloc((size_t)s->index.count + 1, sizeof *s->stills);
    if (!s->stills)
        return error_set(err, ST_NOMEM, "no memory for %d stills", s->index.count);
    s->count = s->index.count;
    for (int i = 0; i < s->count; i++) {
        const struct still_row *row = &s->index.rows[i];
        s->stills[i] = (struct still){.file = row->file,
                                      .camera = row->camera,
                                      .site = row->site,
                                      .conditions = row->conditions,
                                      .lat = row->lat,
                                      .lon = row->lon,
                                      .time_us = row->time_us};
    }
    return ST_OK;
}

static struct still *still_of(struct study *s, const char *path)
{
    const char *base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    for (int i = 0; i < s->count; i++)
        if (strcmp(s->stills[i].file, base) == 0)
            return &s->stills[i];
    return NULL;
}

/* ---- Looking ---- */

struct eye {
    struct student *net;
    struct video_source *source;
    const struct task_spec *spec;
    uint8_t *labels;
};

static enum status eye_open(const char *network, const char *folder, struct eye *ret,
                            struct error *err)
{
    const double full = 1;
    struct video_source_options o;
    enum status st = student_open(network, 1, &full, 1, &ret->net, err);
    if (st != ST_OK)
        return st;
    ret->spec = student_spec(ret->net);
    video_source_options_init(&o);
    o.width = ret->spec->width;
    o.height = ret->spec->height;
    ret->labels = malloc((size_t)ret->spec->out_width * (size_t)ret->spec->out_height);
    return ret->labels ? video_source_open(folder, &o, &ret->source, err)
                       : error_set(err, ST_NOMEM, "no memory for labels");
}

static void eye_close(struct eye *e)
{
    video_source_close(&e->source);
    student_close(&e->net);
    free(e->labels);
}

static enum status look(struct eye *e, struct frame *f, struct nn_view *ret, struct error *err)
{
    uint64_t version;
    enum status st = video_source_next(e->source, f, err);
    return st == ST_OK ? student_infer(e->net, 0, f, e->labels, &version, ret, err) : st;
}

static double agreement(const struct eye *a, const struct eye *b)
{
    int w = a->spec->out_width, h = a->spec->out_height, same = 0;
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            int by = y * b->spec->out_height / h, bx = x * b->spec->out_width / w;
            same += a->labels[y * w + x] == b->labels[by * b->spec->out_width + bx];
        }
    return (double)same / ((double)w * h);
}

static void summarise(const struct eye *e, const struct frame *f, const struct nn_view *logits,
                      struct signature *ret)
{
    struct drift_picture picture;
    struct drift_summary s = {.confidence = 0};
    drift_picture_measure(f, &picture);
    memcpy(s.feature, picture.feature, sizeof s.feature);
    drift_summary_labels(&s, e->labels, (size_t)e->spec->out_width * (size_t)e->spec->out_height,
                         e->spec->class_count);
    s.confidence = drift_confidence(logits, CELLS_MAX);
    signature_of(&s, ret);
}

static enum status look_at_folder(struct study *s, const char *student, const char *teacher,
                                  const char *folder, struct error *err)
{
    struct eye eyes[2] = {{0}};
    struct frame f, g;
    struct nn_view logits, ignored;
    enum status st = eye_open(student, folder, &eyes[0], err);
    if (st == ST_OK)
        st = eye_open(teacher, folder, &eyes[1], err);
    while (st == ST_OK) {
        st = look(&eyes[0], &f, &logits, err);
        struct still *x = st == ST_OK ? still_of(s, video_source_name(eyes[0].source)) : NULL;
        if (x)
            summarise(&eyes[0], &f, &logits, &x->looks);
        if (st == ST_OK)
            st = look(&eyes[1], &g, &ignored, err);
        if (st == ST_OK && x) {
            x->agreement = agreement(&eyes[0], &eyes[1]);
            x->seen = true;
        }
    }
    eye_close(&eyes[0]);
    eye_close(&eyes[1]);
    return st == ST_END ? ST_OK : st;
}

static bool same(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

/* The pictures are in the folder, or in one for each site. */
static enum status look_at_all(struct study *s, const char *student, const char *teacher,
                               const char *folder, struct error *err)
{
    char path[4096];
    struct stat info;
    enum status st = ST_OK;
    bool sites = false;
    for (int i = 0; i < s->count && st == ST_OK; i++) {
        bool first = true;
        for (int k = 0; k < i; k++)
            first &= !same(s->stills[k].site, s->stills[i].site);
        snprintf(path, sizeof path, "%s/%s", folder, s->stills[i].site);
        if (!first || stat(path, &info) != 0)
            continue;
        sites = true;
        st = look_at_folder(s, student, teacher, path, err);
    }
    return sites ? st : look_at_folder(s, student, teacher, folder, err);
}

static void write_signatures(const struct study *s, FILE *out)
{
    fprintf(out, "file,camera,site,conditions,time_us,agreement");
    for (int v = 0; v < SIGNATURE_VALUES; v++)
        fprintf(out, ",v%d", v);
    for (int i = 0; i < s->count; i++) {
        const struct still *x = &s->stills[i];
        fprintf(out, "\n%s,%s,%s,%s,%llu,%.4f", x->file, x->camera, x->site, x->conditions,
                (unsigned long long)x->time_us, x->agreement);
        for (int v = 0; v < SIGNATURE_VALUES; v++)
            fprintf(out, ",%.5g", (double)x->looks.value[v]);
    }
    fprintf(out, "\n");
}

/* What write_signatures wrote, in place of looking again. */
static enum status read_signatures(struct study *s, const char *path, struct error *err)
{
    struct csv t;
    double v;
    enum status st = csv_open(path, &t, err);
    if (st != ST_OK)
        return st;
    if (t.column_count != 6 + SIGNATURE_VALUES)
        st = error_set(err, ST_FORMAT, "%s holds no signatures", path);
    for (int i = 0; i < t.row_count && st == ST_OK; i++) {
        struct still *x = still_of(s, csv_text(&t, i, 0));
        if (!x)
            continue;
        st = csv_number(&t, i, 5, 0, 1, &x->agreement, err);
        for (int k = 0; k < SIGNATURE_VALUES && st == ST_OK; k++) {
            st = csv_number(&t, i, 6 + k, -1e6, 1e6, &v, err);
            x->looks.value[k] = (float)v;
        }
        x->seen = true;
    }
    csv_clear(&t);
    return st;
}

/* ---- Distances ---- */

/* Of one name, or within SITE_M of each other. */
static bool same_site(const struct still *a, const struct still *b)
{
    struct group_place p = group_place_of_degrees(a->lat, a->lon),
                       q = group_place_of_degrees(b->lat, b->lon);
    return same(a->site, b->site) || group_place_distance_m(&p, &q) < SITE_M;
}

static void find_usual(struct study *s)
{
    for (int i = 0; i < s->count; i++) {
        struct still *x = &s->stills[i];
        for (int k = 0; k < s->count; k++) {
            const struct still *y = &s->stills[k];
            if (!same(x->camera, y->camera) || !same(x->site, y->site))
                continue;
            x->usual_of++;
            for (int v = 0; v < SIGNATURE_VALUES; v++)
                x->usual.value[v] += (y->looks.value[v] - x->usual.value[v]) / (float)x->usual_of;
        }
    }
}

static double distance(const struct still *a, const struct still *b, bool less_usual)
{
    struct signature x = a->looks, y = b->looks;
    for (int v = 0; v < SIGNATURE_VALUES && less_usual; v++) {
        x.value[v] -= a->usual.value[v];
        y.value[v] -= b->usual.value[v];
    }
    return signature_distance(&x, &y);
}

enum kind {
    CAMERA_SAME,
    CAMERA_OTHER,
    SITE_SAME,
    SITE_OTHER,
    ELSEWHERE_SAME,
    ELSEWHERE_OTHER,
    KINDS
};

/* By camera or site, and by conditions. */
static enum kind kind_of(const struct still *a, const struct still *b)
{
    bool conditions = same(a->conditions, b->conditions);
    if (!same_site(a, b))
        return conditions ? ELSEWHERE_SAME : ELSEWHERE_OTHER;
    if (!same(a->camera, b->camera))
        return conditions ? SITE_SAME : SITE_OTHER;
    return conditions ? CAMERA_SAME : CAMERA_OTHER;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* How often a distance of `near` is below one of `far`: 1/2 says nothing, 1 all. */
static double separation(const double *near, int near_count, const double *far, int far_count)
{
    double won = 0;
    for (int i = 0; i < near_count; i++)
        for (int k = 0; k < far_count; k++)
            won += near[i] < far[k] ? 1 : near[i] > far[k] ? 0 : 0.5;
    return near_count && far_count ? won / near_count / far_count : (double)NAN;
}

static int tell_distances(const struct study *s, bool less_usual)
{
    static const char *const names[KINDS] = {"same camera, same conditions",
                                             "same camera, other conditions",
                                             "other camera of the site, same conditions",
                                             "other camera of the site, other conditions",
                                             "another site, same conditions",
                                             "another site, other conditions"};
    double *d[KINDS];
    int n[KINDS] = {0};
    for (int k = 0; k < KINDS; k++)
        if (!(d[k] = malloc((size_t)s->count * (size_t)s->count * sizeof(double))))
            return 1;
    for (int i = 0; i < s->count; i++)
        for (int j = i + 1; j < s->count; j++) {
            enum kind k = kind_of(&s->stills[i], &s->stills[j]);
            if (!less_usual || (s->stills[i].usual_of > 1 && s->stills[j].usual_of > 1))
                d[k][n[k]++] = distance(&s->stills[i], &s->stills[j], less_usual);
        }
    printf("%-44s  pairs  lower q.  median  upper q.\n",
           less_usual ? "the same, less the camera's mean" : "distance of signatures");
    for (int k = 0; k < KINDS; k++) {
        qsort(d[k], (size_t)n[k], sizeof(double), by_value);
        if (n[k])
            printf("%-44s %6d %9.2f %7.2f %9.2f\n", names[k], n[k], d[k][n[k] / 4], d[k][n[k] / 2],
                   d[k][n[k] * 3 / 4]);
    }
    for (int k = 0; k < KINDS; k += 2)
        if (n[k] && n[k + 1])
            printf("same against other conditions, %s: %.3f\n",
                   k == 0   ? "one camera"
                   : k == 2 ? "two cameras of a site"
                            : "two sites",
                   separation(d[k], n[k], d[k + 1], n[k + 1]));
    for (int k = 0; k < KINDS; k++)
        free(d[k]);
    return 0;
}

/* ---- Grouping ---- */

/* Stills of one site and conditions were taken on different days: for the grouper all happens now.
 */
static void conditions_of(const struct still *x, uint64_t now_us, struct group_conditions *ret)
{
    group_conditions_init(ret);
    ret->place = group_place_of_degrees(x->lat, x->lon);
    if (!group_place_known(&ret->place)) { /* sites far apart, by name */
        unsigned h = 0;
        for (const char *p = x->site; *p; p++)
            h = h * 31 + (unsigned char)*p;
        ret->place = group_place_of_map(1e5 * (h % 97), 0);
    }
    ret->time_us = now_us;
    ret->looks_known = true;
    ret->signature = x->looks;
}

static enum status decide_all(const struct study *s, struct grouper *g, bool history,
                              struct error *err)
{
    char id[32];
    enum status st = ST_OK;
    for (int i = 0, camera; i < s->count && st == ST_OK; i++) {
        struct group_conditions c;
        struct group_request r = {.trial_count = 0};
        struct group_decision d;
        snprintf(id, sizeof id, "still%d", i);
        conditions_of(&s->stills[i], (uint64_t)(1000 + i) * SECOND_US, &c);
        st = grouper_camera(g, id, &camera, err);
        for (int k = 0; k < s->count && st == ST_OK && history; k++)
            if (same(s->stills[k].camera, s->stills[i].camera) &&
                same(s->stills[k].site, s->stills[i].site))
                grouper_signature(g, camera, &s->stills[k].looks);
        if (st == ST_OK)
            st = grouper_request(g, camera, &c, c.time_us, NULL, &r, err);
        /* Nobody has trained yet: all models are the same, so they score the same. */
        for (int t = 0; t < r.trial_count && st == ST_OK; t++)
            r.trials[t].score = (struct group_score){s->stills[i].agreement, 8, NULL};
        if (st == ST_OK)
            st = grouper_decide(g, &r, &d, err);
    }
    return st;
}

static void tell_groups(const struct study *s, const struct grouper *g)
{
    for (int i = 0; i < grouper_group_count(g); i++) {
        struct group_view k = grouper_group_at(g, i);
        if (k.member_count < 2)
            continue;
        printf("  group %llu:", (unsigned long long)k.id);
        for (int m = 0; m < k.member_count; m++) {
            const struct still *x = &s->stills[k.members[m]];
            printf(" %s/%s/%s", x->site, x->camera, x->conditions);
        }
        printf("\n");
    }
}

static enum status tell_grouping(const struct study *s, double unit, bool history, bool verbose,
                                 struct error *err)
{
    struct group_settings o;
    struct grouper *g;
    uint64_t *found = calloc(2 * (size_t)s->count, sizeof *found), *truth = found + s->count;
    group_settings_init(&o);
    o.near_time_us = (uint64_t)1 << 40;
    o.signature_unit = unit;
    o.members_max = GROUP_MEMBERS_MAX;
    enum status st = found ? grouper_open(&o, &g, err) : error_set(err, ST_NOMEM, "no memory");
    if (st != ST_OK)
        return st;
    st = decide_all(s, g, history, err);
    for (int i = 0; i < s->count && st == ST_OK; i++) {
        found[i] = grouper_group_of(g, i);
        for (int k = 0; k <= i && !truth[i]; k++)
            if (same_site(&s->stills[k], &s->stills[i]) &&
                same(s->stills[k].conditions, s->stills[i].conditions))
                truth[i] = (uint64_t)k + 1;
    }
    struct group_pairs p = group_pairs_compare(found, truth, s->count);
    if (st == ST_OK)
        printf("unit %.1f, %-12s %3d groups, pairwise precision %.3f recall %.3f\n", unit,
               history ? "history:" : "no history:", grouper_group_count(g), p.precision, p.recall);
    if (st == ST_OK && verbose)
        tell_groups(s, g);
    grouper_close(&g);
    free(found);
    return st;
}

/* ---- The zoo, in order of time ---- */

static int by_time(const void *a, const void *b)
{
    uint64_t x = ((const struct still *)a)->time_us, y = ((const struct still *)b)->time_us;
    return (x > y) - (x < y);
}

static enum status tell_zoo(struct study *s, bool looks, struct error *err)
{
    const struct zoo_units units = {2, 2000};
    struct zoo *z;
    int right[2] = {0}, asked[2] = {0}, chance = 0;
    enum status st = zoo_open(24, &z, err);
    for (int i = 0; i < s->count && st == ST_OK; i++) {
        const struct still *x = &s->stills[i];
        struct zoo_entry e = {.accuracy = x->agreement}, gone;
        uint64_t id;
        bool night = same(x->conditions, "night");
        conditions_of(x, x->time_us, &e.conditions);
        struct group_conditions now = e.conditions;
        now.looks_known = looks;
        if (i >= s->count / 4 && zoo_select(z, &now, &units, 1, &id)) {
            asked[night]++;
            right[night] += same(zoo_find(z, id)->model, x->conditions);
            int alike = 0;
            for (int k = 0; k < zoo_count(z); k++)
                alike += same(zoo_at(z, k)->model, x->conditions);
            chance += 1000 * alike / zoo_count(z);
        }
        snprintf(e.model, sizeof e.model, "%s", x->conditions);
        st = zoo_add(z, &e, x->time_us, &id, &gone, err);
    }
    if (st == ST_OK)
        printf("zoo, %s: the first choice is of the same conditions in %d of %d at night, %d of %d "
               "otherwise (by chance %.0f %%)\n",
               looks ? "looks, place and time of day" : "place and time of day alone", right[1],
               asked[1], right[0], asked[0], chance / 10.0 / (asked[0] + asked[1]));
    zoo_close(&z);
    return st;
}

int main(int argc, char **argv)
{
    struct study s = {0};
    struct error err;
    struct stat info;
    if (argc < 4 || stat(argv[3], &info) != 0) {
        fprintf(stderr, "bench_group_stills: skipped, needs STUDENT.onnx TEACHER.onnx FOLDER with "
                        "pictures and index.csv\n");
        return 0;
    }
    bool known = argc > 4 && stat(argv[4], &info) == 0;
    if (read_index(argv[3], &s, &err) != ST_OK ||
        (known ? read_signatures(&s, argv[4], &err)
               : look_at_all(&s, argv[1], argv[2], argv[3], &err)) != ST_OK)
        return fail(&err);
    int kept = 0;
    for (int i = 0; i < s.count; i++)
        if (s.stills[i].seen)
            s.stills[kept++] = s.stills[i];
    s.count = kept;
    printf("%d stills whose conditions are known\n", s.count);
    qsort(s.stills, (size_t)s.count, sizeof *s.stills, by_time);
    FILE *out = argc > 4 && !known ? fopen(argv[4], "w") : NULL;
    if (out) {
        write_signatures(&s, out);
        fclose(out);
    }
    find_usual(&s);
    enum status st = tell_distances(&s, false) || tell_distances(&s, true)
                         ? error_set(&err, ST_NOMEM, "no memory")
                         : ST_OK;
    for (int history = 0; history < 2; history++)
        for (double unit = 0.5; unit <= 2.5 && st == ST_OK; unit += 0.5)
            st = tell_grouping(&s, unit, history, history && unit == 1, &err);
    if (st == ST_OK)
        st = tell_zoo(&s, true, &err);
    if (st == ST_OK)
        st = tell_zoo(&s, false, &err);
    free(s.stills);
    still_index_clear(&s.index);
    return st == ST_OK ? 0 : fail(&err);
}
