/* settings_write.c - the tables for people: documentation, --help, a file with all of them. */
#include <stdio.h>
#include <string.h>

#include "server/setting_units.h"
#include "server/settings.h"

static void write_configurations(struct buf *out)
{
    struct train_configurations standard;
    train_configurations_init(&standard);
    buf_printf(out,
               "\n## Retraining configurations\n\n"
               "What plans choose from, beside the recipe of the preset (`recipe`); in the file "
               "only, a list that takes the place of the standard one:\n\n```yaml\n"
               "configurations:\n");
    for (int i = 0; i < standard.count; i++)
        buf_printf(out, "  - {name: %s, epochs: %d, layers: %d}\n", standard.items[i].name,
                   standard.items[i].epochs, standard.items[i].layers);
    buf_printf(
        out, "```\n\n`epochs` is passes over the labelled frames, `data` the part of them that is "
             "used (1), `layers` how many train, from the output back (0: all), `learning_rate` "
             "and `batch` the recipe's where they are 0, `head_width` the part of the last layer's "
             "inputs whose weights train (1). Configurations that differ in nothing but epochs are "
             "one training that goes on for longer. `recipe` cannot be a name.\n");
}

void settings_write_markdown(struct buf *out)
{
    buf_printf(
        out,
        "# Settings of `attune server`\n\n"
        "Made by `attune server --settings-markdown` from the tables that the parser "
        "uses; do not edit. `attune config example` prints a file to begin with, `attune "
        "config check FILE` all that is wrong with one, `attune config show --origin` what is "
        "in force.\n\nLater ones win: the default; the YAML file (`--config FILE`, `name: "
        "value`), then `conf.d/*.yaml` beside it by name; the environment (`ATTUNE_WINDOW_S`); "
        "the command line (`--window-s`).\n\nA number may carry a unit of its kind: us, ms, s, "
        "min, h, d; bit/s, kbit/s, Mbit/s, Gbit/s; B, kB, MB, GB, TB (powers of 1024); fps, Hz; "
        "mm, m, km; %% where a part of 1 is meant. `${env:NAME}` and `${file:PATH}` in a value "
        "stand for a variable and for a file's text; what came so is never shown, nor is a "
        "password in a URL. `$${` is `${`.\n\nSIGHUP, `POST /v1/reload` or `watch_config` read "
        "it all again: with any error nothing changes, else what is marked live changes at "
        "once and the rest is named as needing a restart.\n");
    setting_table_write_markdown(settings_table(), out);
    buf_printf(out,
               "\n## Settings of a camera\n\n"
               "A mapping for each camera id (`[a-z0-9_-]`, 1 to %d characters); `camera_defaults` "
               "has the "
               "same keys and counts for all cameras that do not say otherwise. In the environment "
               "`ATTUNE_CAMERAS_GATE_1_FPS` is camera `gate-1`'s `fps`. A reload starts a camera's "
               "process on the server anew where a setting that "
               "is not live has changed, and no other camera's:\n\n```yaml\ncameras:\n"
               "  gate-1: {source: \"rtsp://10.0.0.7/main\", fps: 10} # only streams: the server "
               "infers\n"
               "  gate-2: {uplink_kbps: 100}                        # has a computer of its own\n"
               "```\n",
               CAMERA_ID_CHARS_MAX);
    setting_table_write_markdown(camera_settings_table(), out);
    write_configurations(out);
}

void settings_write_help(struct buf *out)
{
    setting_table_write_help(settings_table(), out);
}

/* ---- the file with everything in comments ---- */

#define LINE_CHARS 98

/* The text as comment lines, each behind `start`. */
static void write_comment(struct buf *out, const char *start, const char *text)
{
    size_t room = LINE_CHARS - strlen(start);
    while (*text) {
        size_t n = strlen(text);
        if (n > room) {
            n = room;
            while (n > 0 && text[n] != ' ')
                n--;
            n = n ? n : room;
        }
        buf_printf(out, "%s%.*s\n", start, (int)n, text);
        text += n;
        text += strspn(text, " ");
    }
}

/* Whether a plain word in YAML would be something else. */
static bool wants_quotes(const char *text)
{
    return !*text || strpbrk(text, "#{}[],&*?|<>=!%@`\"'") || strstr(text, ": ");
}

static void write_row(struct buf *out, const struct setting *row, const char *indent)
{
    struct buf range;
    char start[16];
    buf_init(&range);
    setting_write_range(row, &range);
    buf_put_u8(&range, 0);
    snprintf(start, sizeof start, *indent ? "#%s# " : "#%s ", indent);
    write_comment(out, start, row->help);
    if (range.data && row->kind != SETTING_TEXT)
        write_comment(out, start, (const char *)range.data);
    const char *quote = wants_quotes(row->standard) ? "\"" : "";
    buf_printf(out, "#%s%s: %s%s%s%s\n", indent, row->name, quote, row->standard, quote,
               row->live ? ""
               : *indent ? "   # starts its process anew"
                         : "   # needs a restart");
    buf_clear(&range);
}

static void write_rows(struct buf *out, const struct setting_table *t)
{
    const char *section = "";
    for (int i = 0; i < t->count; i++) {
        if (strcmp(section, t->rows[i].section) != 0)
            buf_printf(out, "\n# ---- %s ----\n", t->rows[i].section);
        section = t->rows[i].section;
        buf_printf(out, "\n");
        write_row(out, &t->rows[i], "");
    }
}

static void write_camera_rows(struct buf *out)
{
    const struct setting_table *t = camera_settings_table();
    buf_printf(out,
               "\n# ---- Cameras ----\n#\n"
               "# What all cameras have in common; what a camera says itself wins. Every key "
               "of a camera can\n# stand here. A reload starts a camera's process anew where a "
               "value that needs it has changed.\n\n#camera_defaults:\n");
    for (int i = 0; i < t->count; i++) {
        write_row(out, &t->rows[i], "  ");
        buf_printf(out, "#\n");
    }
    buf_printf(
        out,
        "\n# The cameras by id (a-z, 0-9, _ and -). One with a source is read by this "
        "server; one without\n# has a computer of its own that runs 'attune "
        "camera'.\n\n#cameras:\n#  gate-1:\n"
        "#    # with a password: rtsp://user:${file:/etc/attune/gate-1.password}@10.0.0.7/main\n"
        "#    source: rtsp://10.0.0.7/main\n"
        "#    fps: 10\n#  gate-2:\n#    uplink_kbps: 100kbit/s\n");
}

void settings_write_example(struct buf *out)
{
    buf_printf(out, "# Settings of 'attune server --config FILE'. Every setting is here with its "
                    "default, in a comment:\n# take the # before it away and change it. Made by "
                    "'attune config example'.\n#\n"
                    "# Values may have a unit of the same kind: 250ms, 2min, 2Mbit/s, 1GB, 50%%. "
                    "${env:NAME} and\n# ${file:PATH} stand for a variable or a file's text, so "
                    "that no password need be in here.\n# Files conf.d/*.yaml beside this one are "
                    "read after it, by name; the environment\n# (ATTUNE_WINDOW_S=30) and flags "
                    "(--window-s 30) win over files.\n#\n"
                    "# 'attune config check FILE' says what is wrong; 'systemctl reload' or SIGHUP "
                    "reads it again.\n");
    write_rows(out, settings_table());
    write_camera_rows(out);
}
