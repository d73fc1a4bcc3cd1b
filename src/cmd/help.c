/* help.c - help texts on a terminal: lines that are too long for it go on below where their text
 * began, instead of breaking in the middle of a word. */
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cmd/cmd.h"

#define COLUMNS_MIN 20

/* Of the terminal that standard output is, 0 where it is none. */
static size_t terminal_columns(void)
{
    struct winsize w;
    return isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 &&
                   w.ws_col >= COLUMNS_MIN
               ? w.ws_col
               : 0;
}

/* The column where what a line says of its first words begins: "  --name X   what it is". */
static size_t hang_of(const char *line, size_t columns)
{
    size_t n = strcspn(line, "\n"), indent = strspn(line, " "), hang = indent;
    if (strncmp(line, "usage:", 6) == 0)
        return 7;
    for (size_t i = indent; i + 1 < n && hang == indent; i++)
        if (line[i] == ' ' && line[i + 1] == ' ')
            hang = i + strspn(line + i, " ");
    return hang <= columns / 2 ? hang : indent + 4;
}

/* Does a line go on with the paragraph that is hung at this column? */
static bool goes_on(const char *line, size_t hang)
{
    static const char *const heads[] = {"usage:", "example"};
    size_t indent = strspn(line, " ");
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
        if (strncmp(line, heads[i], strlen(heads[i])) == 0)
            return false;
    return indent == hang && line[indent] && line[indent] != '\n' &&
           hang_of(line, SIZE_MAX) == indent;
}

/* Words of a line from column *at on, a blank before what goes on with a line; what does not fit
 * goes on at `hang`. */
static void put_words(const char *text, size_t n, size_t columns, size_t hang, size_t *at)
{
    size_t used = 0;
    while (used < n) {
        size_t gap = strspn(text + used, " "), word = strcspn(text + used + gap, " \n");
        if (word == 0)
            break;
        if (used == 0 && *at > 0)
            gap++;
        if (*at + gap + word > columns && *at > hang) {
            printf("\n%*s", (int)hang, "");
            *at = hang;
        } else {
            printf("%*s", (int)gap, "");
            *at += gap;
        }
        used += strspn(text + used, " ");
        printf("%.*s", (int)word, text + used);
        *at += word;
        used += word;
    }
}

/* A line and those that go on with it where it was too long; returns where the next begins. */
static const char *put_paragraph(const char *text, size_t columns)
{
    size_t n = strcspn(text, "\n"), hang = hang_of(text, columns), at = 0;
    bool broken = n > columns;
    put_words(text, n, columns, hang, &at);
    text += n + (text[n] == '\n');
    while (broken && goes_on(text, hang)) {
        n = strcspn(text, "\n");
        put_words(text + hang, n - hang, columns, hang, &at);
        text += n + (text[n] == '\n');
    }
    putchar('\n');
    return text;
}

void cmd_help(const char *text)
{
    size_t columns = terminal_columns();
    if (columns == 0)
        fputs(text, stdout);
    while (columns > 0 && *text)
        text = put_paragraph(text, columns);
}

void cmd_help_buf(struct buf *text)
{
    buf_put_u8(text, 0);
    if (!text->failed)
        cmd_help((const char *)text->data);
    buf_clear(text);
}
