/* completion.c - `attune completion SHELL`: what a shell needs to complete our command lines.
 *
 * The words are read from the commands' own help, each asked in a process of its own, so that there
 * is nothing to keep up to date: a line whose first word begins with -- names options, a word in
 * the left column that has a help of its own is a verb.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "cmd/cmd.h"

#define NAME "completion"
#define WORD_CHARS_MAX 47
#define WORDS_MAX 256

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
} commands[] = {
#define CMD_ROW(name, help) {#name, cmd_##name},
    CMD_LIST(CMD_ROW)
#undef CMD_ROW
};

#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

struct words {
    char word[WORDS_MAX][WORD_CHARS_MAX + 1];
    int count;
};

/* n characters, once each. */
static void words_add(struct words *w, const char *text, size_t n)
{
    if (n == 0 || n > WORD_CHARS_MAX || w->count == WORDS_MAX)
        return;
    for (int i = 0; i < w->count; i++)
        if (strlen(w->word[i]) == n && memcmp(w->word[i], text, n) == 0)
            return;
    memcpy(w->word[w->count], text, n);
    w->word[w->count++][n] = '\0';
}

/* Letters, digits and dashes. */
static size_t word_length(const char *text)
{
    size_t n = 0;
    while (isalnum((unsigned char)text[n]) || text[n] == '-')
        n++;
    return n;
}

/* ---- help ---- */

static void read_all(int fd, struct buf *out)
{
    char part[4096];
    for (ssize_t n; (n = read(fd, part, sizeof part)) > 0;)
        buf_put(out, part, (size_t)n);
    close(fd);
    buf_put_u8(out, 0);
}

/* What `attune COMMAND [VERB] --help` prints, as text; "" when it has none. */
static void read_help(const struct command *c, const char *verb, struct buf *out)
{
    int ends[2], status = 1;
    char *words[] = {(char *)(uintptr_t)c->name, (char *)(uintptr_t)(verb ? verb : "--help"),
                     verb ? (char *)(uintptr_t) "--help" : NULL, NULL};
    out->size_bytes = 0;
    fflush(stdout);
    if (pipe(ends) != 0)
        return;
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        if (!freopen("/dev/null", "w", stderr) || !freopen("/dev/null", "r", stdin))
            _exit(1);
        int code = c->run(verb ? 3 : 2, words);
        fflush(stdout);
        _exit(code);
    }
    close(ends[1]);
    read_all(ends[0], out);
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0 || out->failed)
        out->size_bytes = 0;
}

/* ---- reading it ---- */

/* "[--json]" anywhere in a line. */
static void add_optional(const char *help, struct words *to)
{
    for (const char *at = help; (at = strstr(at, "[--")); at++)
        words_add(to, at + 1, word_length(at + 1));
}

/* "--student, --teacher FILE" */
static void add_options(const char *line, struct words *to)
{
    while (line[0] == '-' && line[1] == '-') {
        size_t n = word_length(line);
        words_add(to, line, n);
        line += n;
        if (line[0] != ',' || line[1] != ' ')
            return;
        line += 2;
    }
}

/* In a line that shows the command at work: every word that begins with --. */
static void add_shown(const char *line, const char *command, struct words *to)
{
    size_t n = strcspn(line, "\n");
    const char *at = memmem(line, n, "attune ", 7);
    if (!at || strncmp(at + 7, command, strlen(command)) != 0)
        return;
    for (const char *end = line + n; (at = memmem(at, (size_t)(end - at), " --", 3)); at++)
        if (word_length(at + 1) > 2)
            words_add(to, at + 1, word_length(at + 1));
}

/* command: with its verb. */
static void read_options(const char *help, const char *command, struct words *to)
{
    words_add(to, "--help", 6);
    add_optional(help, to);
    for (const char *line = help; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        add_options(line + strspn(line, " "), to);
        add_shown(line, command, to);
    }
}

/* Words that may be verbs: they begin a line after two spaces, or follow the command in a usage. */
static void read_candidates(const char *help, const char *command, struct words *to)
{
    char start[64];
    snprintf(start, sizeof start, "attune %s ", command);
    for (const char *at = help; (at = strstr(at, start)); at++)
        words_add(to, at + strlen(start), word_length(at + strlen(start)));
    for (const char *line = help; *line; line += strcspn(line, "\n"), line += *line == '\n')
        if (strncmp(line, "  ", 2) == 0 && islower((unsigned char)line[2]))
            words_add(to, line + 2, word_length(line + 2));
    for (const char *line = help; *line; line += strcspn(line, "\n"), line += *line == '\n')
        if (islower((unsigned char)line[0]) && strstr(line, "  "))
            words_add(to, line, word_length(line));
}

/* Whether a command's help has the usage of this verb. */
static bool shows_verb(const char *help, const char *command, const char *verb)
{
    char start[128];
    int n = snprintf(start, sizeof start, "attune %s %s", command, verb);
    for (const char *at = help; (at = strstr(at, start)); at++)
        if (!isalnum((unsigned char)at[n]) && at[n] != '-' && at[n] != '.' && at[n] != '/')
            return true;
    return false;
}

struct shape {
    struct words options, verbs;
    struct words verb_options[32];
};

static void read_verbs(const struct command *c, const char *help, struct shape *ret)
{
    static struct words candidates;
    char command[128];
    struct buf text;
    buf_init(&text);
    candidates.count = 0;
    read_candidates(help, c->name, &candidates);
    bool takes_verbs = strstr(help, " VERB") != NULL;
    for (int i = 0; i < candidates.count; i++) {
        const char *verb = candidates.word[i];
        if (!islower((unsigned char)verb[0]) || strchr(verb, '.') || ret->verbs.count == 32)
            continue;
        read_help(c, verb, &text);
        if (text.size_bytes == 0 ||
            (!takes_verbs && !shows_verb((const char *)text.data, c->name, verb)))
            continue;
        snprintf(command, sizeof command, "%s %s", c->name, verb);
        read_options((const char *)text.data, command, &ret->verb_options[ret->verbs.count]);
        words_add(&ret->verbs, verb, strlen(verb));
    }
    buf_clear(&text);
}

static void read_shape(const struct command *c, struct shape *ret)
{
    struct buf help;
    memset(ret, 0, sizeof *ret);
    if (strcmp(c->name, NAME) == 0) {
        words_add(&ret->options, "--help", 6);
        words_add(&ret->verbs, "bash", 4);
        words_add(&ret->verbs, "zsh", 3);
        words_add(&ret->verbs, "fish", 4);
        return;
    }
    buf_init(&help);
    read_help(c, NULL, &help);
    if (help.size_bytes > 0) {
        read_options((const char *)help.data, c->name, &ret->options);
        read_verbs(c, (const char *)help.data, ret);
    }
    buf_clear(&help);
}

/* ---- writing ---- */

static void print_words(const struct words *w)
{
    for (int i = 0; i < w->count; i++)
        printf("%s%s", i ? " " : "", w->word[i]);
}

static void print_bash_command(const struct command *c)
{
    static struct shape s;
    read_shape(c, &s);
    printf("    %s) words=\"", c->name);
    print_words(&s.options);
    printf("\"; verbs=\"");
    print_words(&s.verbs);
    printf("\" ;;\n");
    for (int i = 0; i < s.verbs.count; i++) {
        if (s.verb_options[i].count == 0)
            continue;
        printf("    %s/%s) words=\"", c->name, s.verbs.word[i]);
        print_words(&s.verb_options[i]);
        printf("\" ;;\n");
    }
}

static void print_bash(void)
{
    printf("# bash completion of attune, by `attune completion bash`\n"
           "_attune_words() {\n"
           "    words= verbs=\n"
           "    case \"$1\" in\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        print_bash_command(&commands[i]);
    printf("    esac\n"
           "}\n"
           "_attune() {\n"
           "    local words verbs commands=\"");
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        printf("%s ", commands[i].name);
    printf("--help --version\" cur=\"${COMP_WORDS[COMP_CWORD]}\"\n"
           "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
           "        COMPREPLY=($(compgen -W \"$commands\" -- \"$cur\"))\n"
           "        return\n"
           "    fi\n"
           "    _attune_words \"${COMP_WORDS[1]}/${COMP_WORDS[2]}\"\n"
           "    [ -n \"$words\" ] || _attune_words \"${COMP_WORDS[1]}\"\n"
           "    [ \"$COMP_CWORD\" -eq 2 ] && { _attune_words \"${COMP_WORDS[1]}\"; words=\"$verbs "
           "$words\"; }\n"
           "    COMPREPLY=()\n"
           "    [[ \"$cur\" == -* || \"$COMP_CWORD\" -eq 2 ]] && COMPREPLY=($(compgen -W "
           "\"$words\" -- \"$cur\"))\n"
           "}\n"
           "complete -o default -F _attune attune\n");
}

static void print_zsh(void)
{
    printf("#compdef attune\n"
           "# zsh completion of attune, by `attune completion zsh`: bash's, which zsh can read\n"
           "autoload -U +X bashcompinit && bashcompinit\n");
    print_bash();
}

/* condition: "__fish_..." of the lines that follow. */
static void print_fish_words(const char *condition, const struct words *w)
{
    for (int i = 0; i < w->count; i++)
        printf(w->word[i][0] == '-' ? "complete -c attune -n '%s' -l %s\n"
                                    : "complete -c attune -n '%s' -f -a %s\n",
               condition, w->word[i] + (w->word[i][0] == '-' ? 2 : 0));
}

static void print_fish(void)
{
    static struct shape s;
    char condition[256];
    printf("# fish completion of attune, by `attune completion fish`\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        const char *name = commands[i].name;
        read_shape(&commands[i], &s);
        printf("complete -c attune -n __fish_use_subcommand -f -a %s\n", name);
        snprintf(condition, sizeof condition, "__fish_seen_subcommand_from %s", name);
        print_fish_words(condition, &s.verbs);
        print_fish_words(condition, &s.options);
        for (int v = 0; v < s.verbs.count; v++) {
            snprintf(condition, sizeof condition,
                     "__fish_seen_subcommand_from %s; and __fish_seen_subcommand_from %s", name,
                     s.verbs.word[v]);
            print_fish_words(condition, &s.verb_options[v]);
        }
    }
}

int cmd_completion(int argc, char **argv)
{
    static const char help[] =
        "usage: attune completion bash|zsh|fish\n\n"
        "Prints what the shell needs to complete attune's command lines. The packages install it;\n"
        "elsewhere: attune completion bash >~/.local/share/bash-completion/completions/attune\n";
    static const struct cmd_option options[] = {{.name = NULL}};
    const char *words[1];
    int code = cmd_parse(NAME, help, options, argc, argv, words, 0, 1, &(int){0});
    if (code >= 0)
        return code;
    if (argc < 2)
        return cmd_usage(NAME, "say for which shell: bash, zsh or fish");
    if (strcmp(words[0], "bash") == 0)
        print_bash();
    else if (strcmp(words[0], "zsh") == 0)
        print_zsh();
    else if (strcmp(words[0], "fish") == 0)
        print_fish();
    else
        return cmd_usage(NAME, "there is no completion for '%s'; bash, zsh or fish", words[0]);
    return CMD_OK;
}
