<?php
// Prints what both functions say of each case: its key, headers and body are files that begin with an argument.
require __DIR__ . '/verify.php';

foreach (array_slice($argv, 1) as $place) {
    $headers = [];
    foreach (file("$place.headers", FILE_IGNORE_NEW_LINES) as $line) {
        [$name, $value] = explode(': ', $line, 2);
        $headers[strtolower($name)] = $value;
    }
    $said = [];
    foreach (['standard', 'elements'] as $verify) {
        $said[] = $verify(file_get_contents("$place.key"), $headers, file_get_contents("$place.body")) ? 'true' : 'false';
    }
    echo implode(' ', $said), "\n";
}
