/* bench_program.c - the program attune-bench: nothing but the engine is in its process, so that the
 * memory which it measures is the engine's and not that of the libraries for video and network. */
#include "cmd/bench.h"

int main(int argc, char **argv)
{
    return bench_verbs(argc, argv);
}
