// Apache Avro's own library, as a source or a partner in Java would use it: one program for the tests.
//
// java -cp "JARS/*" Avro.java read OUT FILE...     rows of Avro files as JSON, one a line
// java -cp "JARS/*" Avro.java write TASKS          files from rows; TASKS: a JSON list of {schema, rows, out, codec, interval, strings}

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedWriter;
import java.io.File;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.LocalDate;
import java.util.*;
import org.apache.avro.Conversions;
import org.apache.avro.LogicalTypes;
import org.apache.avro.Schema;
import org.apache.avro.data.TimeConversions;
import org.apache.avro.file.CodecFactory;
import org.apache.avro.file.DataFileReader;
import org.apache.avro.file.DataFileWriter;
import org.apache.avro.generic.*;

public class Avro {
  static final ObjectMapper JSON = new ObjectMapper();
  static final GenericData DATA = new GenericData();

  static {
    DATA.addLogicalTypeConversion(new Conversions.DecimalConversion());
    DATA.addLogicalTypeConversion(new TimeConversions.DateConversion());
    DATA.addLogicalTypeConversion(new TimeConversions.TimestampMillisConversion());
  }

  /** A value as JSON can have it: money, dates and times as texts. */
  static Object plain(Object value) {
    if (value instanceof GenericRecord record) {
      Map<String, Object> fields = new LinkedHashMap<>();
      for (Schema.Field field : record.getSchema().getFields()) fields.put(field.name(), plain(record.get(field.pos())));
      return fields;
    }
    if (value instanceof Collection<?> items) return items.stream().map(Avro::plain).toList();
    if (value == null || value instanceof Number && !(value instanceof BigDecimal) || value instanceof Boolean) return value;
    return value instanceof BigDecimal money ? money.toPlainString() : value.toString();
  }

  static void read(Path out, List<String> files) throws Exception {
    try (BufferedWriter lines = Files.newBufferedWriter(out)) {
      for (String file : files) {
        GenericDatumReader<GenericRecord> reader = new GenericDatumReader<>(null, null, DATA);
        try (DataFileReader<GenericRecord> records = new DataFileReader<>(new File(file), reader)) {
          for (GenericRecord record : records) lines.append(JSON.writeValueAsString(plain(record))).append('\n');
        }
      }
    }
  }

  /** A JSON value as the writer wants it for a schema. */
  static Object value(JsonNode node, Schema schema) {
    if (schema.getType() == Schema.Type.UNION) {
      if (node == null || node.isNull()) return null;
      return value(node, schema.getTypes().stream().filter(each -> each.getType() != Schema.Type.NULL).findFirst().orElseThrow());
    }
    String logical = schema.getLogicalType() == null ? "" : schema.getLogicalType().getName();
    return switch (schema.getType()) {
      case RECORD -> record(node, schema);
      case ARRAY -> {
        List<Object> items = new ArrayList<>();
        node.forEach(item -> items.add(value(item, schema.getElementType())));
        yield items;
      }
      case ENUM -> new GenericData.EnumSymbol(schema, node.asText());
      case BYTES -> new BigDecimal(node.asText()).setScale(((LogicalTypes.Decimal) schema.getLogicalType()).getScale());
      case INT -> logical.equals("date") ? LocalDate.parse(node.asText()) : (Object) node.asInt();
      case LONG -> logical.equals("timestamp-millis") ? Instant.parse(node.asText()) : (Object) node.asLong();
      case BOOLEAN -> node.asBoolean();
      default -> node.asText();
    };
  }

  static GenericRecord record(JsonNode node, Schema schema) {
    GenericRecord record = new GenericData.Record(schema);
    for (Schema.Field field : schema.getFields()) record.put(field.pos(), value(node.get(field.name()), field.schema()));
    return record;
  }

  /** A schema with Avro's mark that its texts are java.lang.String, as generated classes write it. */
  static Schema withJavaStrings(Schema schema, Set<String> seen) {
    switch (schema.getType()) {
      case STRING -> { if (schema.getProp(GenericData.STRING_PROP) == null) GenericData.setStringType(schema, GenericData.StringType.String); }
      case ARRAY -> withJavaStrings(schema.getElementType(), seen);
      case UNION -> schema.getTypes().forEach(each -> withJavaStrings(each, seen));
      case RECORD -> { if (seen.add(schema.getFullName())) schema.getFields().forEach(each -> withJavaStrings(each.schema(), seen)); }
      default -> { }
    }
    return schema;
  }

  static void write(JsonNode task) throws Exception {
    Schema schema = new Schema.Parser().parse(task.get("schema").toString());
    if (task.get("strings").asBoolean()) withJavaStrings(schema, new HashSet<>());
    try (DataFileWriter<GenericRecord> file = new DataFileWriter<>(new GenericDatumWriter<>(schema, DATA))) {
      file.setCodec(CodecFactory.fromString(task.get("codec").asText()));
      file.setSyncInterval(task.get("interval").asInt());
      file.setMeta("written.by", "Java");
      file.create(schema, new File(task.get("out").asText()));
      for (JsonNode row : task.get("rows")) file.append(record(row, schema));
    }
  }

  public static void main(String[] arguments) throws Exception {
    List<String> rest = List.of(arguments).subList(1, arguments.length);
    if (arguments[0].equals("read")) read(Path.of(rest.get(0)), rest.subList(1, rest.size()));
    else for (JsonNode task : JSON.readTree(Files.readString(Path.of(rest.get(0)), StandardCharsets.UTF_8))) write(task);
  }
}
