/* main.c - finds the subcommand and runs it; knows nothing else. */
#include "cmd/cmd.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/yaml.h"

#define SPIN_COUNT "1000" /* some tens of microseconds */

static const struct command {
    const char *name, *help;
    int (*run)(int argc, char **argv);
} commands[] = {
#define CMD_ROW(name, help) {#name, help, cmd_##name},
    CMD_LIST(CMD_ROW)
#undef CMD_ROW
};

#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

static void print_help(FILE *to)
{
    fprintf(to,
            "attune keeps small vision models on cameras accurate.\n\n"
            "usage: attune COMMAND [OPTIONS]        attune COMMAND --help teaches each one\n\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        fprintf(to, "  %-12s%s\n", commands[i].name, commands[i].help);
    fprintf(to, "\nFirst time here? Run: attune demo\n");
}

/* Threads of an OpenMP team wait for each other spinning, by libgomp's default for milliseconds:
 * when another process has one of their processors, all of them stall (bench/bench_roles.c). A
 * short spin costs a team that is alone next to nothing. libgomp reads this before main, hence the
 * second start; when that fails, the first one goes on. */
static void spin_less(char **argv)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (getenv("GOMP_SPINCOUNT") || getenv("OMP_WAIT_POLICY") || n <= 0)
        return;
    self[n] = '\0';
    if (setenv("GOMP_SPINCOUNT", SPIN_COUNT, 1) == 0)
        execv(self, argv);
}

static int no_command(const char *name)
{
    const char *known[COMMAND_COUNT];
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        known[i] = commands[i].name;
    const char *near = yaml_nearest(name, known, COMMAND_COUNT);
    fprintf(stderr, "attune: there is no command '%s'%s%s%s. See: attune --help\n", name,
            near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    return CMD_USAGE;
}

int main(int argc, char **argv)
{
    spin_less(argv);
    const char *name = argc > 1 ? argv[1] : "--help";
    if (strcmp(name, "help") == 0 && argc == 3) { /* as `attune COMMAND --help` */
        static char help[] = "--help";
        name = argv[1] = argv[2];
        argv[2] = help;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        print_help(stdout);
        return argc > 1 ? CMD_OK : CMD_USAGE;
    }
    if (strcmp(name, "--version") == 0) {
        printf("attune %s (%s)\n", ATTUNE_VERSION, cmd_commit());
        return CMD_OK;
    }
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(name, commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    return no_command(name);
}
