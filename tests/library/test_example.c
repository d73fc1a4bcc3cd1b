/* examples/student.c and `attune camera` beside each other: a real server with two versions of a
 * small network; whatever frames the camera answers with a version, the example answers alike.
 *   test_example STUDENT_PROGRAM */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../server/kit.h"
#include "../video/pictures.h"
#include "base/child.h"
#include "base/clock.h"
#include "base/file.h"
#include "video/image.h"

#define W 48
#define H 40
#define FRAMES 16
#define LINE_CHARS 256
#define VERSIONS 2

static const char *program;
static char answers[VERSIONS][FRAMES][LINE_CHARS]; /* the example's: v0, and the server's version */
static int compared[VERSIONS];
static json_int_t newest;

/* A server whose camera "gate" has learned and learns no more. */
static struct kit *make_server(void)
{
    struct kit *k = kit_open();
    uint64_t seq = 0;
    kit_trains(k, "round-robin", 1, 5);
    k->options.settings.learning_rate = 0.01;
    kit_start(k);
    kit_hello(k, "gate");
    for (int i = 0; i < 2; i++) {
        kit_upload(k, "gate", &seq);
        kit_await_version(k, "gate", i + 1);
    }
    kit_stop(k);
    k->options.settings.adapt = false;
    kit_start(k);
    newest = kit_version(k, "gate");
    return k;
}

static void make_frames(const char *folder)
{
    struct frame f;
    struct buf png;
    char path[256];
    frame_init(&f);
    buf_init(&png);
    assert_int_equal(mkdir(folder, 0755), 0);
    for (int i = 0; i < FRAMES; i++) {
        draw_picture(&f, W, H, i);
        png.size_bytes = 0;
        snprintf(path, sizeof path, "%s/%03d.png", folder, i);
        assert_int_equal(image_png_write(&f, &png, NULL), ST_OK);
        assert_int_equal(file_write(path, png.data, png.size_bytes, NULL), ST_OK);
    }
    frame_clear(&f);
    buf_clear(&png);
}

/* ---- the example ---- */

struct example {
    FILE *to, *from;
    pid_t pid;
};

/* With pipes both ways; arguments as the shell has them. */
static void start_example(struct example *e, const char *command)
{
    int in[2], out[2];
    assert_int_equal(pipe(in), 0);
    assert_int_equal(pipe(out), 0);
    e->pid = fork();
    if (e->pid == 0) {
        dup2(in[0], STDIN_FILENO);
        dup2(out[1], STDOUT_FILENO);
        close(in[1]);
        close(out[0]);
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    e->to = fdopen(in[1], "w");
    e->from = fdopen(out[0], "r");
}

/* One frame's line, after its number and its version, which is returned. */
static int64_t ask_example(struct example *e, int index, char line[LINE_CHARS])
{
    struct frame f;
    int64_t version;
    int number, at = 0;
    char text[LINE_CHARS];
    frame_init(&f);
    draw_picture(&f, W, H, index);
    assert_int_equal(fwrite(f.pixels, 1, frame_bytes(&f), e->to), frame_bytes(&f));
    fflush(e->to);
    frame_clear(&f);
    assert_non_null(fgets(text, sizeof text, e->from));
    assert_int_equal(sscanf(text, "%d v%" SCNd64 "%n", &number, &version, &at), 2);
    text[strcspn(text, "\n")] = '\0';
    snprintf(line, LINE_CHARS, "%s", text + at);
    return version;
}

static void end_example(struct example *e)
{
    int status;
    fclose(e->to);
    fclose(e->from);
    assert_int_equal(waitpid(e->pid, &status, 0), e->pid);
    assert_int_equal(status, 0);
}

static void ask_all(struct example *e, int64_t version, char lines[FRAMES][LINE_CHARS])
{
    char line[LINE_CHARS];
    uint64_t until_us = clock_mono_us() + 30000000;
    while (ask_example(e, 0, line) != version) {
        assert_true(clock_mono_us() < until_us);
        kit_pause();
    }
    for (int i = 0; i < FRAMES; i++)
        assert_int_equal(ask_example(e, i, lines[i]), version);
}

/* ---- attune camera ---- */

/* " road:0.5 car:0.5" of a camera's line. */
static void shares_of(json_t *o, char line[LINE_CHARS])
{
    const char *name;
    json_t *share;
    size_t at = 0;
    line[0] = '\0';
    json_object_foreach(json_object_get(o, "classes"), name, share) at +=
        (size_t)snprintf(line + at, LINE_CHARS - at, " %s:%.5f", name, json_number_value(share));
}

static void compare_line(void *context, const char *text)
{
    (void)context;
    json_t *o = json_loads(text, 0, NULL);
    if (o && strcmp(json_string_value(json_object_get(o, "type")), "frame") == 0) {
        int64_t version = json_integer_value(json_object_get(o, "version"));
        int64_t frame = json_integer_value(json_object_get(o, "frame"));
        char line[LINE_CHARS];
        shares_of(o, line);
        assert_true((version == 0 || version == newest) && frame >= 0 && frame < FRAMES);
        assert_string_equal(line, answers[version != 0][frame]);
        compared[version != 0]++;
    }
    json_decref(o);
}

static void run_camera(struct kit *k, const char *frames)
{
    char url[64], state[128], id[] = "gate", fps[] = "16";
    snprintf(url, sizeof url, "http://127.0.0.1:%d", server_http_port(k->server));
    snprintf(state, sizeof state, "%s/camera", k->dir);
#define WORD(text) ((char *)(uintptr_t)(text))
    char *argv[] = {WORD(getenv("ATTUNE_PROGRAM")),
                    WORD("camera"),
                    WORD("--source"),
                    WORD(frames),
                    WORD("--student"),
                    k->options.settings.student,
                    WORD("--server"),
                    url,
                    WORD("--id"),
                    id,
                    WORD("--state"),
                    state,
                    WORD("--fps"),
                    fps,
                    WORD("--results"),
                    WORD("-"),
                    WORD("--log-level"),
                    WORD("error"),
                    NULL};
    struct child c;
    struct child_options o = {.program = argv[0]};
    child_init(&c);
    assert_int_equal(child_start(&c, argv, &o, NULL), ST_OK);
    while (child_runs(&c)) {
        child_read_lines(&c, compare_line, NULL);
        kit_pause();
    }
    child_read_lines(&c, compare_line, NULL);
    child_clear(&c);
}

static void example_and_camera_agree(void **state)
{
    (void)state;
    struct kit *k = make_server();
    struct example e;
    char command[2048], frames[96];
    assert_true(newest >= 2);
    snprintf(frames, sizeof frames, "%s/frames", k->dir);
    make_frames(frames);
    snprintf(command, sizeof command, "exec %s %s %d %d", program, k->options.settings.student, W,
             H);
    start_example(&e, command);
    ask_all(&e, 0, answers[0]);
    end_example(&e);
    size_t n = strlen(command);
    snprintf(command + n, sizeof command - n, " http://127.0.0.1:%d gate 2>/dev/null",
             server_http_port(k->server));
    start_example(&e, command);
    ask_all(&e, newest, answers[1]);
    end_example(&e);
    assert_string_not_equal(answers[0][0], answers[1][0]); /* it has learned something */
    for (int i = 0; i < 5 && compared[1] < FRAMES / 2; i++)
        run_camera(k, frames);
    assert_true(compared[1] >= FRAMES / 2);
    kit_close(&k);
}

int main(int argc, char **argv)
{
    int status;
    if (kit_is_worker(argc, argv, &status))
        return status;
    program = argc > 1 ? argv[1] : NULL;
    const struct CMUnitTest tests[] = {cmocka_unit_test(example_and_camera_agree)};
    return program ? cmocka_run_group_tests(tests, NULL, NULL) : 2;
}
