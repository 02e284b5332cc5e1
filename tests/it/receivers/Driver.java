import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;

/** Prints what both methods say of each case: its key, headers and body are files that begin with an argument. */
final class Driver {
    public static void main(String[] places) throws Exception {
        for (String place : places) {
            Map<String, String> headers = new HashMap<>();
            for (String line : Files.readAllLines(Path.of(place + ".headers"))) {
                String[] parts = line.split(": ", 2);
                headers.put(parts[0].toLowerCase(), parts[1]);
            }
            String key = Files.readString(Path.of(place + ".key"));
            byte[] body = Files.readAllBytes(Path.of(place + ".body"));
            System.out.println(Signatures.standard(key, headers, body) + " " + Signatures.elements(key, headers, body));
        }
    }
}
