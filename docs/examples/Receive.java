// A receiver in one page: verify a partner's deliveries, fold them (R50), write the picture as JSON.
//
// mvn -q -f pom.xml dependency:copy-dependencies -DoutputDirectory=jars
// java -cp "jars/*" Receive.java OUTBOX/PARTNER picture.json

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.File;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.*;
import org.apache.avro.file.DataFileReader;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericRecord;

public class Receive {
  static final ObjectMapper JSON = new ObjectMapper().configure(SerializationFeature.ORDER_MAP_ENTRIES_BY_KEYS, true);

  record Group(String personnummer, String benefit) {}

  final Map<Group, Map<String, GenericRecord>> picture = new HashMap<>();
  final Set<Group> incomplete = new HashSet<>();

  static String sha256(byte[] data) throws Exception {
    return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(data));
  }

  /** The digest of a manifest: without digest and signature, keys sorted, no spaces, UTF-8. */
  static String digestOf(JsonNode manifest) throws Exception {
    ObjectNode bare = manifest.deepCopy();
    bare.remove(List.of("digest", "signature"));
    Object sorted = JSON.treeToValue(bare, Object.class); // maps, which are written in the order of their keys
    return sha256(JSON.writeValueAsString(sorted).getBytes(StandardCharsets.UTF_8));
  }

  static void require(boolean right, String otherwise) {
    if (!right) throw new IllegalStateException(otherwise);
  }

  static JsonNode verified(Path folder, JsonNode before) throws Exception {
    JsonNode manifest = JSON.readTree(folder.resolve("manifest.json").toFile());
    require(manifest.get("digest").asText().equals(digestOf(manifest)), folder + ": the manifest was changed");
    require(manifest.get("partner").asText().equals(folder.getParent().getFileName().toString()), folder + ": another partner's");
    require(manifest.get("sequence").asInt() == Integer.parseInt(folder.getFileName().toString()), folder + ": another delivery");
    JsonNode previous = manifest.get("previous");
    require(
        before == null ? previous.isNull()
            : previous.get("sequence").equals(before.get("sequence")) && previous.get("digest").equals(before.get("digest")),
        folder + ": does not follow the one before");
    for (JsonNode file : manifest.get("files")) {
      byte[] data = Files.readAllBytes(folder.resolve(file.get("name").asText()));
      require(sha256(data).equals(file.get("sha256").asText()), folder + ": " + file.get("name") + " was changed");
    }
    return manifest;
  }

  static String text(GenericRecord record, String field) {
    return record.get(field) == null ? null : record.get(field).toString();
  }

  void empty(Group group) {
    picture.remove(group);
    incomplete.remove(group);
  }

  /** R50, for the records of one delivery. */
  void fold(File part, Set<Group> begun) throws Exception {
    try (DataFileReader<GenericRecord> records = new DataFileReader<>(part, new GenericDatumReader<>())) {
      for (GenericRecord record : records) {
        Group group = new Group(text(record, "personnummer"), text(record, "benefit"));
        String action = text(record, "action");
        if (action.equals("EMPTY") || (action.equals("SNAPSHOT") && begun.add(group))) {
          empty(group);
          empty(new Group(text(record, "former_personnummer"), group.benefit()));
        }
        switch (action) {
          case "DEVIATION" -> incomplete.add(group);
          case "SNAPSHOT", "NEW", "CORRECTED" ->
              picture.computeIfAbsent(group, none -> new HashMap<>()).put(text(record, "fact_id"), record);
          case "ANNULLED" -> require(
              picture.getOrDefault(group, Map.of()).remove(text(record, "fact_id")) != null, "ANNULLED of what is not there");
          default -> { }
        }
      }
    }
  }

  public static void main(String[] arguments) throws Exception {
    Receive receiver = new Receive();
    JsonNode before = null;
    File[] folders = new File(arguments[0]).listFiles(folder -> new File(folder, "manifest.json").exists());
    Arrays.sort(folders);
    for (File folder : folders) {
      before = verified(folder.toPath(), before);
      Set<Group> begun = new HashSet<>();
      for (JsonNode file : before.get("files")) {
        String name = file.get("name").asText();
        if (!name.equals("receipts.avro")) receiver.fold(new File(folder, name), begun);
      }
    }
    SortedMap<String, Object> facts = new TreeMap<>();
    receiver.picture.forEach((group, ofGroup) -> ofGroup.forEach((factId, record) ->
        facts.put(group.personnummer() + " " + group.benefit() + " " + factId, record.get("units"))));
    JSON.writeValue(new File(arguments[1]), facts);
    System.out.printf("%d deliveries, %d facts, %d groups incomplete%n", folders.length, facts.size(), receiver.incomplete.size());
  }
}
