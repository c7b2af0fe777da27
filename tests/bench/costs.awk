# costs: lines of callgrind_annotate ("INSTRUCTIONS (PERCENT) FILE:FUNCTION [OBJECT]") to results, by where the code
# lies: one library a folder makes that easy. Paths below the working folder come without it. Variables: process, records.

!/^ *[0-9,]+ +\(/ || /PROGRAM TOTALS/ { next }

# The tests' broker, which stands in for Paho here, is no part of a process.
/memory_wire\.h:|tests\/bench\// { next }

{
    count = $1
    gsub(",", "", count)
    if (/[ \/]lib\/record\// || /span\.h:(json|scan|record|decode)_/)
        part = "decode"
    else if (/libsodium|\/base\/hash\.c:|explicit_bzero/)
        part = "hash"
    else if (/[ \/]lib\/operator\// || /[ \/]lib\/lake\//)
        part = "decide"
    else if (/liblmdb|[ \/]lib\/store\/|\/store\/(bloom|keyset_state)\.h:/)
        part = "store"
    else if (/\/links\/outbox\.c:|\/run\/gather\.c:|\/run\/batch\.c:emit/)
        part = "encode"
    else if (/\/links\/publisher\.c:/)
        part = "publish"
    else if (/\/links\/(inbox|arrive|link)\.c:/)
        part = "arrive"
    else
        part = "rest"
    sum[part] += count
    total += count
}

END {
    if (total == 0 || records == 0) {
        print "costs: nothing was counted for " process
        exit 1
    }
    split("arrive decode hash decide store encode publish rest", parts, " ")
    for (i = 1; i in parts; i++)
        printf "costs/%s/%s instr/record %.0f\n", process, parts[i], sum[parts[i]] / records
    printf "costs/%s/total instr/record %.0f\n", process, total / records
}
