/*
 * The main program of every process: compiled once for each job that streams/streams.h lists, whose name CMake gives as
 * STREAM.
 */
#include "daemon/daemon.h"
#include "streams/catalog.h"

int
main(int argc, char **argv)
{
    return daemon_main(argc, argv, &STREAM, catalog_streams, &catalog_config);
}
