# A blank line belongs behind the declarations that a function begins with, and none of these stands behind a (void). Prints
# FILE:LINE of what is otherwise. The functions are those of this project, whose braces stand in the first column.

# What is code of the line; in_comment says whether a comment goes on in the next.
function code_of(line,    code, at) {
    if (!in_comment)
        gsub(/"([^"\\]|\\.)*"|'([^'\\]|\\.)*'/, "0", line)
    while (line != "") {
        at = index(line, in_comment ? "*/" : "/*")
        if (!in_comment)
            code = code (at ? substr(line, 1, at - 1) : line)
        if (!at)
            break
        line = substr(line, at + 2)
        in_comment = !in_comment
    }
    sub(/[ \t]+$/, "", code)
    return code
}
function declares(code) {
    if (code ~ /^ *(return|goto|else|case|default|if|for|while|do|switch|break|continue|sizeof)([^A-Za-z0-9_]|$)/)
        return 0
    return code ~ /^ *(static|const|volatile|unsigned|signed|long|short|struct|enum|union) / ||
           code ~ /^ *[A-Za-z_][A-Za-z0-9_]* +(const +)?\**(const +)?[A-Za-z_][A-Za-z0-9_]*( *=[^=]| *=$|;|,|\[)/ ||
           code ~ /^ *[A-Za-z_][A-Za-z0-9_]* +\**\(\*/
}
FNR == 1 { at_start = open = in_comment = 0 }
/^\{$/ { at_start = 1; declared = cast = open = in_comment = depth = 0; next }
!at_start { next }
/^}/ { at_start = 0; next }
{
    within = in_comment
    code = code_of($0)
    if (code ~ /^ *$/ && (within || in_comment || $0 ~ /\/\*/))
        next
}
!open && /^#/ { next }
!open && /^$/ && (declared || !cast) { at_start = 0; next }
!open && code ~ /^ *\(void\)[a-z_]+;$/ && !declared { cast = 1; next }
!open && code !~ /^ *$/ && !declares(code) {
    if (declared)
        print FILENAME ":" FNR ": a blank line belongs before this, behind the declarations"
    at_start = 0
    next
}
code !~ /^ *$/ {
    if (!open && cast) {
        print FILENAME ":" FNR ": this declaration belongs before (void), and a blank line between them"
        at_start = 0
        next
    }
    declared = 1
    depth += gsub(/[({[]/, "(", code) - gsub(/[]})]/, ")", code)
    open = !(depth == 0 && code ~ /;$/)
}
