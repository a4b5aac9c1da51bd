/*
 * Preloaded into a process, writes the name of each file that it has synced to its disk into the file that SYNC_LOG
 * names, one a line.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

typedef int (*sync_function)(int);

static int synced(const char *function, int file) {
  sync_function next = (sync_function)dlsym(RTLD_NEXT, function);
  int result = next(file);
  const char *name = getenv("SYNC_LOG");
  char link[64], line[4097];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t length = readlink(link, line, sizeof line - 1);
  if (result != 0 || name == NULL || length < 0) return result;
  line[length++] = '\n';
  int log = open(name, O_WRONLY | O_APPEND | O_CREAT, 0600);
  if (log < 0 || write(log, line, length) != length) abort();
  close(log);
  return result;
}

int fsync(int file) { return synced("fsync", file); }

int fdatasync(int file) { return synced("fdatasync", file); }
