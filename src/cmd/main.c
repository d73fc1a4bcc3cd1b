#include <stdio.h>

int main(void)
{
    puts("attune");
    return 0;
}
