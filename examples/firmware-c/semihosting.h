/* What a debugger or an emulator does for a program that has no console and no files: Arm semihosting. */
#ifndef SEMIHOSTING_H
#define SEMIHOSTING_H

#include <stddef.h>
#include <stdint.h>

/* Prints text up to its NUL. */
void semihosting_print(const char *text);

/* Ends the program; the emulator ends with this status. */
_Noreturn void semihosting_exit(int status);

/* The program's name and its arguments, with blanks between them. Returns 0 where there are none, or more than `size` bytes with their NUL. */
int semihosting_arguments(char *text, size_t size);

/* Opens a file for reading; negative where there is none. */
int32_t semihosting_open(const char *path);

/* Reads `size` bytes. Returns how many it got. */
size_t semihosting_read(int32_t file, void *bytes, size_t size);

#endif
