/* main.c - finds the subcommand and runs it; knows nothing else. */
#include "cmd/cmd.h"

#include <stdio.h>
#include <string.h>

static const struct command {
    const char *name, *help;
    int (*run)(int argc, char **argv);
} commands[] = {
#define CMD_ROW(name, help) {#name, help, cmd_##name},
    CMD_LIST(CMD_ROW)
#undef CMD_ROW
};

static void print_help(FILE *to)
{
    fprintf(to,
            "attune keeps small vision models on cameras accurate.\n\n"
            "usage: attune COMMAND [OPTIONS]        attune COMMAND --help teaches each one\n\n");
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        fprintf(to, "  %-8s %s\n", commands[i].name, commands[i].help);
    fprintf(to, "\nFirst time here? Run: attune demo\n");
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "--help";
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        print_help(stdout);
        return argc > 1 ? CMD_OK : CMD_USAGE;
    }
    if (strcmp(name, "--version") == 0) {
        printf("attune %s (%s)\n", ATTUNE_VERSION, cmd_commit());
        return CMD_OK;
    }
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(name, commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    fprintf(stderr, "attune: there is no command '%s'. See: attune --help\n", name);
    return CMD_USAGE;
}
