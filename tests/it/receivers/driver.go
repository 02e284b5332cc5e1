// Prints what standard and elements say of each case: its key, headers and body are files that begin with an argument.
package main

import (
	"fmt"
	"net/http"
	"os"
	"strings"
)

func read(path string) []byte {
	bytes, err := os.ReadFile(path)
	if err != nil {
		panic(err)
	}
	return bytes
}

func main() {
	for _, place := range os.Args[1:] {
		headers := http.Header{}
		for _, line := range strings.Split(strings.TrimSpace(string(read(place+".headers"))), "\n") {
			name, value, _ := strings.Cut(line, ": ")
			headers.Set(name, value)
		}
		key, body := string(read(place+".key")), read(place+".body")
		fmt.Println(standard(key, headers, body), elements(key, headers, body))
	}
}
