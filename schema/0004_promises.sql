-- deltapost's database, version 4. README.md beside this file tells what each column means.

